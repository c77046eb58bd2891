package dashboard

import (
	"errors"
	"fmt"
	"slices"

	"github.com/bindgate/bindgate/store"
)

// Role is what a user may do. Each includes those before it.
type Role int

// The roles.
const (
	Anyone    Role = iota // who has not logged in
	Viewer                // sees
	Support               // and ends sessions, of one account at a time
	Admin                 // everything, in the domains to which the user may be limited
	Unlimited             // everything: an admin who is limited to no domains
)

var roleNames = []string{Viewer: "viewer", Support: "support", Admin: "admin"}

// String is the role's name in commands and in the record.
func (r Role) String() string {
	if r <= Anyone || int(r) >= len(roleNames) {
		return ""
	}
	return roleNames[r]
}

// ParseRole reads a role's name.
func ParseRole(name string) (Role, error) {
	if i := slices.Index(roleNames, name); i > int(Anyone) {
		return Role(i), nil
	}
	return Anyone, fmt.Errorf("there is no role %q: it must be viewer, support or admin", name)
}

// scopes are those that the role has in the REST API.
func (r Role) scopes() []string {
	switch r {
	case Viewer:
		return []string{"sessions:read", "rules:read"}
	case Support:
		return []string{"sessions:read", "rules:read", "sessions:kick"}
	case Admin:
		return []string{"admin"}
	}
	return nil
}

// User is who uses the dashboard.
type User struct {
	Name    string
	Role    Role
	Domains []string // to which the user is limited; nil: all

	login int64      // by which the request came
	kept  store.User // as it is on record
}

// may reports whether the user's role is enough.
func (u *User) may(least Role) bool {
	if least == Unlimited {
		return u != nil && u.Role == Admin && u.Domains == nil
	}
	return least == Anyone || u != nil && u.Role >= least
}

// errNoLogin says that a request belongs to no login session that lasts.
var errNoLogin = errors.New("dashboard: nobody is logged in")
