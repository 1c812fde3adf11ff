// Package requests has what somebody asked a projector to do carried out.
package requests
