package command

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"reflect"
	"strings"

	"github.com/alecthomas/kong"
)

// SecretFile takes a secret from the file that a variable names, if it names one.
func SecretFile(variable, file string, secret *string) error {
	if file == "" {
		return nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return fmt.Errorf("%s: %w", variable, err)
	}
	*secret = strings.TrimSpace(string(text))
	return nil
}

// exposed names the flags of the command line that hold a secret: whoever lists the processes of
// a machine reads them. The tag secret of an option says what is none of the command line's: all
// of it, a user in a URL (a token of NATS stands there), or a password.
func exposed(command *kong.Context) error {
	var all []error
	for _, step := range command.Path {
		if step.Flag == nil || step.Resolved || !step.Flag.Tag.Has("secret") {
			continue
		}
		var values []string
		switch value := reflect.Indirect(step.Flag.Target); value.Kind() {
		case reflect.Slice:
			for i := range value.Len() {
				values = append(values, value.Index(i).String())
			}
		default:
			values = strings.Split(value.String(), ",")
		}
		for _, value := range values {
			if holdsSecret(value, step.Flag.Tag.Get("secret")) {
				all = append(all, fmt.Errorf("--%s holds a secret, which everyone can read who lists the processes of this machine: set %s instead", step.Flag.Name, strings.Join(step.Flag.Tag.Envs, " or ")))
				break
			}
		}
	}
	return errors.Join(all...)
}

// holdsSecret says whether a value has what the tag keeps from the command line. What cannot be
// read as a URL, and has an @ in it, may.
func holdsSecret(value, tag string) bool {
	value = strings.TrimSpace(value)
	u, err := url.Parse(value)
	switch {
	case tag == "all":
		return true
	case strings.Contains(strings.ToLower(value), "password"):
		return true // a parameter of the database's URL, or of its other spelling
	case err != nil:
		return strings.Contains(value, "@") && strings.Count(value, ":") > 1
	case u.User == nil:
		return tag == "user" && strings.Contains(value, "@")
	}
	_, password := u.User.Password()
	return password || tag == "user"
}
