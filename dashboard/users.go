package dashboard

import (
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/store"
)

// usersAtOnce is how many a page lists.
const usersAtOnce = 100

// userRow is a user as it is listed.
type userRow struct {
	Name      string
	Role      store.Role
	Domains   []string
	State     string // a key of users.state: enabled, disabled, invited, provider
	LastLogin time.Time
}

func rowOf(u store.User) userRow {
	r := userRow{u.Name, u.Role, u.Domains, "enabled", u.LastLoginAt}
	switch {
	case u.Disabled:
		r.State = "disabled"
	case u.MustChange:
		r.State = "invited"
	case u.Issuer != "":
		r.State = "provider"
	}
	return r
}

type usersPage struct {
	page
	Rows        []userRow
	First, Next string
}

func (d *Dashboard) users(v *visit) error {
	after := v.query.Get("after")
	if after != "" { // a name in its form, or none that comes before any
		name, err := people.Name(after)
		if err != nil {
			return refuse(http.StatusBadRequest)
		}
		after = name
	}
	list, err := d.cfg.Store.ListUsers(v.ctx, after, usersAtOnce+1)
	if err != nil {
		return err
	}
	p := &usersPage{page: v.page("users.title")}
	if len(list) > usersAtOnce {
		list = list[:usersAtOnce]
		p.Next = link("/users", "after", list[usersAtOnce-1].Name)
	}
	if after != "" {
		p.First = link("/users")
	}
	for _, u := range list {
		p.Rows = append(p.Rows, rowOf(u))
	}
	return v.render(http.StatusOK, "users", p)
}

type addUserPage struct {
	page
	Name    string
	Roles   []choice
	Domains string
	Wrong   string
	Detail  string // in English
}

func (v *visit) roles(chosen string) []choice {
	var list []choice
	for _, r := range store.Roles() {
		list = append(list, choice{string(r), v.d.words.label(v.lang, "role", string(r)), string(r) == chosen})
	}
	return list
}

func (d *Dashboard) addUserForm(v *visit) error {
	return v.render(http.StatusOK, "users_add", &addUserPage{page: v.page("users.add.title"), Roles: v.roles(string(store.RoleViewer))})
}

// addUser keeps a user with a one-time password, and shows that: once.
func (d *Dashboard) addUser(v *visit) error {
	n := people.Newcomer{Name: v.form("name"), Role: store.Role(v.form("role")), Domains: v.domains()}
	if !store.RoleAdmin.Covers(n.Role) {
		return refuse(http.StatusBadRequest)
	}
	u, password, err := d.cfg.People.Invite(v.ctx, n, v.formOnce(), v.actor())
	if wrong, detail := userProblem(err); wrong != "" {
		return v.render(http.StatusUnprocessableEntity, "users_add", &addUserPage{v.page("users.add.title"), n.Name, v.roles(string(n.Role)), v.form("domains"), wrong, detail})
	}
	if err != nil {
		return err
	}
	return v.showPassword(u.Name, password)
}

// domains are those of the form, by lines, commas or spaces; nil: it names none, which is all.
func (v *visit) domains() []string {
	list := strings.FieldsFunc(v.form("domains"), func(r rune) bool { return r == ',' || unicode.IsSpace(r) })
	if len(list) == 0 {
		return nil
	}
	return list
}

type newPasswordPage struct {
	page
	Name, Password string
}

// showPassword is the one page that shows a password that was made. It is the answer to the form, so that the password is in no address and no cookie.
func (v *visit) showPassword(name, password string) error {
	return v.render(http.StatusOK, "users_password", &newPasswordPage{v.page("users.password.title"), name, password})
}

// userProblem is the key of why a change of users was not accepted, perhaps with more in English; "": it was, or failed otherwise.
func userProblem(err error) (wrong, detail string) {
	var domain *jid.Error
	switch {
	case errors.Is(err, people.ErrName):
		return "users.name.wrong", ""
	case errors.Is(err, people.ErrDomains):
		return "users.domains.many", ""
	case errors.As(err, &domain):
		return "users.domains.wrong", domain.Error()
	case errors.Is(err, store.ErrTaken):
		return "users.taken", ""
	case errors.Is(err, store.ErrTooMany):
		return "users.many", ""
	case errors.Is(err, store.ErrLastAdmin):
		return "users.last", ""
	}
	return "", ""
}
