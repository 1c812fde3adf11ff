package console

import (
	"fmt"
	"slices"
	"strings"

	"github.com/coreos/go-oidc/v3/oidc"
)

// userOf reads who signed in off a token that was verified, and refuses one without any role
// of the console's.
func userOf(token *oidc.IDToken, claim, prefix string) (User, error) {
	var claims map[string]any
	if err := token.Claims(&claims); err != nil {
		return User{}, fmt.Errorf("reading the token's claims: %w", err)
	}
	u := User{Name: token.Subject}
	for _, name := range []string{"preferred_username", "user_name", "email"} {
		if text, ok := claims[name].(string); ok && text != "" {
			u.Name = text
			break
		}
	}
	given := rolesIn(claims, claim)
	for _, role := range Roles() {
		if slices.ContainsFunc(given, func(text string) bool { return plainRole(text) == plainRole(prefix+string(role)) }) {
			u.Roles = append(u.Roles, role)
		}
	}
	if !u.May(View) {
		return u, fmt.Errorf("the token of %s has no role of the console's in its claim %q: %w", u.Name, claim, errNoRole)
	}
	return u, nil
}

// plainRole is a role however it is written: ROLE_CONSOLE_SEE_BODIES is role-console-see-bodies.
func plainRole(text string) string { return strings.ReplaceAll(strings.ToLower(text), "_", "-") }

// rolesIn are the roles of a claim, which is a list or a text with spaces between them. A name
// with dots leads into claims that have claims, as realm_access.roles.
func rolesIn(claims map[string]any, name string) []string {
	first, rest, nested := strings.Cut(name, ".")
	value, found := claims[name]
	if inner, ok := claims[first].(map[string]any); nested && !found && ok {
		return rolesIn(inner, rest)
	}
	switch value := value.(type) {
	case string:
		return strings.Fields(value)
	case []any:
		var all []string
		for _, one := range value {
			if text, ok := one.(string); ok {
				all = append(all, text)
			}
		}
		return all
	}
	return nil
}
