package command

import (
	"cmp"
	"fmt"
	"os"
	"os/user"
)

// Actor are the options of commands that change something: who does it, and why.
type Actor struct {
	As  string `name:"as" placeholder:"NAME" help:"Who does it, for the audit; the system's user where this is not given."`
	Why string `placeholder:"TEXT" help:"Why, for the audit."`
}

// Who is the name in the audit.
func (a *Actor) Who() string {
	if a.As != "" {
		return a.As
	}
	if is, err := user.Current(); err == nil {
		return cmp.Or(is.Username, "user "+is.Uid)
	}
	return fmt.Sprintf("user %d", os.Getuid())
}
