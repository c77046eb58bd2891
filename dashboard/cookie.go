package dashboard

import (
	"net/http"

	"github.com/bindgate/bindgate/store"
)

// The cookies of logins. Where the browser comes by https they are __Host-'s (draft-ietf-httpbis-rfc6265bis §4.1.3.2): nobody beside this host can have set
// them, and what was set without https does not count.
const (
	loginCookie  = "bindgate_login"  // proves the login
	knownCookie  = "bindgate_known"  // somebody has logged in in this browser
	signOnCookie = "bindgate_signon" // a login by the provider is under way, and where it leads
)

// In seconds.
const (
	untilClosed = 0 // the browser
	knownAge    = 180 * 24 * 3600
	signOnAge   = 10 * 60
)

func (v *visit) own(name string) string {
	if v.d.cfg.Secure(v.r) {
		return "__Host-" + name
	}
	return name
}

// keep sets a cookie of logins for so many seconds.
func (v *visit) keep(name, value string, seconds int) {
	http.SetCookie(v.w, &http.Cookie{Name: v.own(name), Value: value, Path: "/", MaxAge: seconds, HttpOnly: true, SameSite: http.SameSiteLaxMode, Secure: v.d.cfg.Secure(v.r)})
}

// drop forgets a cookie of logins.
func (v *visit) drop(name string) { v.keep(name, "", -1) }

// kept returns a cookie of logins; "": there is none.
func (v *visit) kept(name string) string {
	c, err := v.r.Cookie(v.own(name))
	if err != nil {
		return ""
	}
	return c.Value
}

// loginToken is what the browser proves its login with; "": nothing.
func (v *visit) loginToken() store.LoginToken { return store.LoginToken(v.kept(loginCookie)) }
