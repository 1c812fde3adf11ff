// Package service is what the programs that run as services share: logging, the HTTP
// endpoints that operators know, traces, and the way to stop.
package service
