package dashboard

import (
	"context"
	"errors"
	"net/http"
	"strconv"

	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/store"
)

// whoever returns whose login the request belongs to; errNoLogin: nobody's, or one that has ended.
func (v *visit) whoever(ctx context.Context) (*User, error) {
	token := v.loginToken()
	if token == "" {
		return nil, errNoLogin
	}
	// What a page does by itself keeps no login alive.
	l, u, err := v.d.cfg.Store.FindLogin(ctx, token, !v.scripted())
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, errNoLogin
	case err != nil:
		return nil, err
	}
	role, err := ParseRole(string(u.Role))
	if err != nil {
		return nil, err
	}
	return &User{Name: u.Name, Role: role, Domains: u.Domains, login: l.ID, kept: u}, nil
}

// browser is where the request comes from, for whoever logs in.
func (v *visit) browser() people.Browser {
	return people.Browser{Address: v.address, UserAgent: v.r.UserAgent(), Token: v.loginToken(), Known: store.LoginToken(v.kept(knownCookie))}
}

// actor is the user, for changes of users. All else goes by the API.
func (v *visit) actor() store.Actor {
	a := store.Actor{Via: store.ViaDashboard, RequestID: requestID(v.ctx)}
	if v.user != nil {
		a.Subject = v.user.Name
	}
	if v.address.IsValid() {
		a.Address = v.address.String()
	}
	return a
}

// enterAs gives the browser what proves a login that has just begun: never what it had before, which somebody else may know.
func (v *visit) enterAs(in people.Entered) {
	v.keep(loginCookie, string(in.Token), untilClosed)
	v.keep(knownCookie, string(in.Known), knownAge)
}

type loginPage struct {
	page
	Name     string
	Next     string
	Provider string // by which one can log in too; "": none
	Wrong    string // a key of what went wrong; "": nothing
	Wait     int    // seconds until the next attempt; 0: none
}

// loginPage shows the form, with what went wrong.
func (v *visit) loginPage(status int, wrong string, wait int) error {
	p := &loginPage{page: v.page("login.title"), Name: v.form("username"), Wrong: wrong, Wait: wait}
	if p.Next = localPath(v.r.FormValue("next"), ""); p.Next == Root {
		p.Next = ""
	}
	if v.d.cfg.SignOn != nil {
		p.Provider = v.d.cfg.SignOn.Host()
	}
	if wait > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	return v.render(status, "login", p)
}

func (d *Dashboard) loginForm(v *visit) error {
	if v.user != nil {
		return v.redirect(localPath(v.query.Get("next"), Root))
	}
	return v.loginPage(http.StatusOK, "", 0)
}

// login logs in by name and password.
func (d *Dashboard) login(v *visit) error {
	defer v.within(pageTimeout)()
	d.way.look(v)
	in, err := d.cfg.People.Login(v.ctx, v.form("username"), v.r.PostForm.Get("password"), v.browser())
	var waits *people.WaitError
	switch {
	case errors.As(err, &waits):
		return v.loginPage(http.StatusTooManyRequests, "login.wait", waits.Seconds())
	case errors.Is(err, people.ErrBusy):
		return v.loginPage(http.StatusServiceUnavailable, "login.busy", 0)
	case errors.Is(err, people.ErrWrong):
		return v.loginPage(http.StatusUnprocessableEntity, "login.wrong", 0)
	case err != nil:
		return err
	}
	v.enterAs(in)
	return v.redirect(localPath(v.form("next"), Root))
}

// logout ends the browser's login. Nobody logged in is logged out already.
func (d *Dashboard) logout(v *visit) error {
	if v.user != nil {
		if err := d.cfg.Store.EndLogin(v.ctx, v.user.kept.ID, v.user.login, v.actor()); err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
	}
	v.drop(loginCookie)
	return v.redirect(Root + "/login")
}
