package dashboard

import (
	"errors"
	"net/http"

	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/store"
)

type userPage struct {
	page
	Of      userRow
	Kept    store.User
	Roles   []choice
	Domains string
	Logins  []loginRow
	Wrong   string
	Detail  string // in English
}

// named returns the user that the form or the address names.
func (v *visit) named() (store.User, error) {
	name, err := people.Name(v.r.FormValue("name"))
	if err != nil {
		return store.User{}, refuse(http.StatusNotFound)
	}
	u, err := v.d.cfg.Store.FindUser(v.ctx, name)
	if errors.Is(err, store.ErrNotFound) {
		return u, refuse(http.StatusNotFound)
	}
	return u, err
}

func (d *Dashboard) oneUser(v *visit) error {
	u, err := v.named()
	if err != nil {
		return err
	}
	return v.userPage(http.StatusOK, u, "", "")
}

func (v *visit) userPage(status int, u store.User, wrong, detail string) error {
	logins, err := v.d.cfg.Store.ListLogins(v.ctx, u.ID)
	if err != nil {
		return err
	}
	domains := ""
	for i, d := range u.Domains {
		if i > 0 {
			domains += "\n"
		}
		domains += d
	}
	p := &userPage{page: v.page("users.user.title"), Of: rowOf(u), Kept: u, Roles: v.roles(string(u.Role)), Domains: domains, Logins: loginRows(logins, v.user.login), Wrong: wrong, Detail: detail}
	if v.form("do") == "rights" { // what was asked for stands in the form
		p.Domains = v.form("domains")
		p.Roles = v.roles(v.form("role"))
	}
	return v.render(status, "users_user", p)
}

// changeUser sets role and domains, or lets a user in or not.
func (d *Dashboard) changeUser(v *visit) error {
	u, err := v.named()
	if err != nil {
		return err
	}
	var c store.UserChange
	switch v.form("do") {
	case "disable", "enable":
		c.Disabled = new(v.form("do") == "disable")
	case "rights":
		if u.Issuer != "" { // the provider says it anew at each login
			return refuse(http.StatusForbidden)
		}
		role := store.Role(v.form("role"))
		if !store.RoleAdmin.Covers(role) {
			return refuse(http.StatusBadRequest)
		}
		domains := v.domains()
		if domains != nil {
			if domains, err = people.Domains(domains); err != nil {
				wrong, detail := userProblem(err)
				return v.userPage(http.StatusUnprocessableEntity, u, wrong, detail)
			}
		}
		c.Role, c.Domains = &role, &domains
	default:
		return refuse(http.StatusBadRequest)
	}
	_, err = d.cfg.Store.ChangeUser(v.ctx, u.ID, c, v.actor())
	return v.changed(u, err, "users.changed", link("/users/user", "name", u.Name))
}

// changed tells what became of a change of a user.
func (v *visit) changed(u store.User, err error, told, next string) error {
	if wrong, detail := userProblem(err); wrong != "" {
		return v.userPage(http.StatusUnprocessableEntity, u, wrong, detail)
	}
	if errors.Is(err, store.ErrNotFound) {
		return refuse(http.StatusNotFound)
	}
	if err != nil {
		return err
	}
	v.done(told, u.Name)
	return v.redirect(next)
}

// askPage asks before something that cannot be taken back.
type askPage struct {
	page
	Name string
}

func (d *Dashboard) askRemoveUser(v *visit) error { return v.ask("users_remove", "users.remove.title") }

func (d *Dashboard) askResetPassword(v *visit) error {
	return v.ask("users_reset", "users.reset.title")
}

func (v *visit) ask(name, title string) error {
	u, err := v.named()
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, name, &askPage{v.page(title), u.Name})
}

func (d *Dashboard) removeUser(v *visit) error {
	u, err := v.named()
	if err != nil {
		return err
	}
	return v.changed(u, d.cfg.Store.RemoveUser(v.ctx, u.ID, v.actor()), "users.removed", Root+"/users")
}

// resetPassword gives a user a one-time password, and shows that: once.
func (d *Dashboard) resetPassword(v *visit) error {
	u, err := v.named()
	if err != nil {
		return err
	}
	if u.Issuer != "" {
		return refuse(http.StatusForbidden)
	}
	password, err := d.cfg.People.ResetPassword(v.ctx, u.ID, v.formOnce(), v.actor())
	if errors.Is(err, store.ErrNotFound) {
		return refuse(http.StatusNotFound)
	}
	if err != nil {
		return err
	}
	return v.showPassword(u.Name, password)
}

// endUserLogins ends one of a user's logins, or all.
func (d *Dashboard) endUserLogins(v *visit) error {
	u, err := v.named()
	if err != nil {
		return err
	}
	if v.ticked("all") {
		err = d.cfg.Store.EndLogins(v.ctx, u.ID, 0, v.actor())
	} else {
		err = v.endLogin(u.ID)
	}
	return v.changed(u, err, "users.logins.ended", link("/users/user", "name", u.Name))
}
