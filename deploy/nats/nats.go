// Package nats has the configuration of NATS as it is shipped, for the tests and the sandbox.
package nats

import _ "embed" // the file

// Roles says who may do what: the block authorization of a server's configuration. It takes the
// passwords from variables.
//
//go:embed roles.conf
var Roles string
