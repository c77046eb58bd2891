package dashboard

import (
	"errors"
	"net/http"
	"strconv"

	"github.com/bindgate/bindgate/internal/people"
)

type passwordPage struct {
	page
	Must  bool // it is one to be changed, and nothing else can be done before
	Has   bool // the user has one at all
	Least int  // characters
	Wrong string
	Wait  int
}

func (v *visit) passwordPage(status int, wrong string, wait int) error {
	if wait > 0 {
		v.w.Header().Set("Retry-After", strconv.Itoa(wait))
	}
	u := v.user.kept
	return v.render(status, "password", &passwordPage{page: v.page("password.title"), Must: u.MustChange, Has: u.HasPassword, Least: people.MinPassword, Wrong: wrong, Wait: wait})
}

func (d *Dashboard) passwordForm(v *visit) error { return v.passwordPage(http.StatusOK, "", 0) }

// changePassword gives the user another password. All other logins end, and this one has a new token.
func (d *Dashboard) changePassword(v *visit) error {
	defer v.within(pageTimeout)()
	if !v.user.kept.HasPassword {
		return refuse(http.StatusForbidden)
	}
	fresh := v.r.PostForm.Get("password")
	if fresh != v.r.PostForm.Get("again") {
		return v.passwordPage(http.StatusUnprocessableEntity, "password.differ", 0)
	}
	in, err := d.cfg.People.ChangePassword(v.ctx, v.user.kept, v.r.PostForm.Get("old"), fresh, v.browser())
	if wrong := passwordProblem(err); wrong != "" {
		return v.passwordPage(http.StatusUnprocessableEntity, wrong, 0)
	}
	var waits *people.WaitError
	switch {
	case errors.As(err, &waits):
		return v.passwordPage(http.StatusTooManyRequests, "login.wait", waits.Seconds())
	case errors.Is(err, people.ErrBusy):
		return v.passwordPage(http.StatusServiceUnavailable, "login.busy", 0)
	case err != nil:
		return err
	}
	v.enterAs(in)
	v.done("password.changed")
	return v.redirect(Root)
}

// passwordProblem is the key of what is wrong with a new password; "": nothing, or something else.
func passwordProblem(err error) string {
	switch {
	case errors.Is(err, people.ErrWrong):
		return "password.old.wrong"
	case errors.Is(err, people.ErrSame):
		return "password.same"
	case errors.Is(err, people.PasswordShort):
		return "password.short"
	case errors.Is(err, people.PasswordLong):
		return "password.long"
	case errors.Is(err, people.PasswordControl):
		return "password.control"
	case errors.Is(err, people.PasswordCommon):
		return "password.common"
	}
	return ""
}
