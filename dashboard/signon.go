package dashboard

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/signon"
)

// signOn sends the browser to the provider. It is a link: a form's way out of the site would be against the policy of pages.
func (d *Dashboard) signOn(v *visit) error {
	if d.cfg.SignOn == nil {
		return refuse(http.StatusNotFound)
	}
	to, pending, err := d.cfg.SignOn.Begin(v.ctx)
	if errors.Is(err, signon.ErrAway) {
		d.log.ErrorContext(v.ctx, "nobody can log in by the provider", "error", err)
		return v.loginPage(http.StatusServiceUnavailable, "login.away", 0)
	}
	if err != nil {
		return err
	}
	next := localPath(v.query.Get("next"), "")
	if len(next) > maxFlash { // of a cookie
		next = ""
	}
	v.keep(signOnCookie, pending+"."+base64.RawURLEncoding.EncodeToString([]byte(next)), signOnAge)
	return v.redirect(to)
}

// signedOn takes what the browser brings back from the provider.
func (d *Dashboard) signedOn(v *visit) error {
	if d.cfg.SignOn == nil {
		return refuse(http.StatusNotFound)
	}
	defer v.within(pageTimeout)()
	pending, encoded, _ := strings.Cut(v.kept(signOnCookie), ".")
	v.drop(signOnCookie)
	who, err := d.cfg.SignOn.Finish(v.ctx, v.query, pending)
	var in people.Entered
	if err == nil {
		in, err = d.cfg.People.Vouched(v.ctx, who, v.browser())
	}
	status, wrong := http.StatusUnprocessableEntity, "login.invalid"
	switch {
	case err == nil:
		v.enterAs(in)
		next, _ := base64.RawURLEncoding.DecodeString(encoded) // the browser's user could have written it
		return v.redirect(localPath(string(next), Root))
	case errors.Is(err, signon.ErrAway):
		status, wrong = http.StatusServiceUnavailable, "login.away"
	case errors.Is(err, signon.ErrRefused), errors.Is(err, people.ErrWrong):
		status, wrong = http.StatusForbidden, "login.refused"
	case !errors.Is(err, signon.ErrInvalid):
		return err
	}
	d.log.WarnContext(v.ctx, "a login to the dashboard by the provider has failed", "address", v.address, "error", err)
	return v.loginPage(status, wrong, 0)
}
