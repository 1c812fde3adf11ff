package console

import (
	"net/http"
	"slices"

	"casdelius/store"
)

// Role is what somebody may do.
type Role string

// The roles.
const (
	View       Role = "view"       // see pages
	Operate    Role = "operate"    // ask for actions
	SeeBodies  Role = "see-bodies" // see bodies of messages
	Restricted Role = "restricted" // see cases that Delius marks as restricted or excluded
)

// Roles are all roles.
func Roles() []Role { return []Role{View, Operate, SeeBodies, Restricted} }

// User is who looks at a page.
type User struct {
	Name  string
	Roles []Role
}

// May says whether the user has a role.
func (u *User) May(role Role) bool { return slices.Contains(u.Roles, role) }

// local is whoever reaches a console that has no sign-in.
var local = User{Name: "this machine", Roles: []Role{View}}

// hidden are the people of a list whose cases a user may not see.
func hidden[T any](c *Console, r *http.Request, u *User, list []T, of func(T) store.CRN) (map[store.CRN]bool, error) {
	if u.May(Restricted) {
		return map[store.CRN]bool{}, nil
	}
	crns := make([]store.CRN, len(list))
	for i, one := range list {
		crns[i] = of(one)
	}
	return c.ports.People.Restricted(r.Context(), crns)
}
