package dashboard

import (
	"context"
	"crypto/rand"
	"net/http"
	"strings"
	"sync"
)

// trial has users for trying pages: whoever names a role, with domains behind a colon ("viewer:example.org,example.net"), has it.
type trial struct {
	mu       sync.Mutex
	sessions map[string]*User // by the value of the cookie
}

const trialCookie = "bindgate_session"

func newTrial() *trial { return &trial{sessions: map[string]*User{}} }

func (t *trial) user(_ context.Context, r *http.Request) (*User, error) {
	c, err := r.Cookie(trialCookie)
	if err != nil {
		return nil, errNoLogin
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	u := t.sessions[c.Value]
	if u == nil {
		return nil, errNoLogin
	}
	return u, nil
}

func (t *trial) login(name string) (*http.Cookie, error) {
	role, domains, limited := strings.Cut(name, ":")
	r, err := ParseRole(role)
	if err != nil {
		return nil, err
	}
	u := &User{Name: name, Role: r}
	if limited {
		u.Domains = strings.Split(domains, ",")
	}
	id := rand.Text()
	t.mu.Lock()
	defer t.mu.Unlock()
	t.sessions[id] = u
	return &http.Cookie{Name: trialCookie, Value: id, Path: "/dashboard", HttpOnly: true, SameSite: http.SameSiteLaxMode}, nil
}

type loginPage struct {
	page
	Name  string
	Wrong bool
}

func (d *Dashboard) loginForm(v *visit) error {
	return v.render(http.StatusOK, "login", &loginPage{page: v.page("login.title")})
}

func (d *Dashboard) login(v *visit) error {
	c, err := d.logins.(*trial).login(v.form("username"))
	if err != nil {
		return v.render(http.StatusUnprocessableEntity, "login", &loginPage{page: v.page("login.title"), Name: v.form("username"), Wrong: true})
	}
	http.SetCookie(v.w, c)
	return v.redirect(localPath(v.form("to"), "/dashboard/sessions"))
}

func (d *Dashboard) logout(v *visit) error {
	http.SetCookie(v.w, &http.Cookie{Name: trialCookie, Path: "/dashboard", MaxAge: -1, HttpOnly: true, SameSite: http.SameSiteLaxMode})
	return v.redirect("/dashboard/login")
}
