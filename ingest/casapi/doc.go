// Package casapi fetches the details of events from the CAS API.
//
// A detail's URL comes from a message, so it is not trusted: it has to lie under one
// of the allowed base URLs (see [Client.Fetch]), redirects are not followed, time and
// size are limited, and the bearer token goes nowhere else. The token is fetched once
// for all that need it at the same time, again shortly before it ends, and once more
// when the API refuses it.
package casapi
