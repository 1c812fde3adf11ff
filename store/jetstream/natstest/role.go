package natstest

import (
	"crypto/rand"
	"fmt"
	"net/url"
	"strings"
)

// Names of the roles.
const (
	Ingest        = "ingest"
	Projector     = "projector"
	Operator      = "operator"
	Console       = "console"
	Administrator = "administrator"
)

// Roles are the names of all.
func Roles() []string { return []string{Ingest, Projector, Operator, Console, Administrator} }

// authorize makes a server that is not started yet ask who connects, as a part of a configuration
// file says, and gives each role that has a password there one.
func (s *Server) authorize(block string) error {
	s.password = rand.Text()
	var b strings.Builder
	for _, role := range Roles() {
		if variable := "NATS_" + strings.ToUpper(role) + "_PASSWORD"; strings.Contains(block, "$"+variable) {
			fmt.Fprintf(&b, "%s: \"x%s\"\n", variable, s.password)
		}
	}
	if err := s.options.ProcessConfigString(b.String() + block); err != nil {
		return fmt.Errorf("read the roles of NATS: %w", err)
	}
	return nil
}

// URLAs is where clients of a role connect to, with its password.
func (s *Server) URLAs(role string) string {
	u, err := url.Parse(s.URL())
	if err != nil {
		panic(err) // unreachable: it is our own
	}
	u.User = url.UserPassword(role, "x"+s.password)
	return u.String()
}

// InboxOf is the prefix of a role's inboxes.
func InboxOf(role string) string { return "_INBOX_" + role }
