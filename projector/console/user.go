package console

import "slices"

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
