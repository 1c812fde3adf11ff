// Package casapitest is a CAS API for tests and for the sandbox: it serves details at
// the paths of the real one, hands out and demands bearer tokens, and fails on
// request. It keeps what it serves in memory and knows nothing of what the details
// say.
package casapitest
