package dashboard

import (
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/store"
)

// loginRow is a login as it is listed.
type loginRow struct {
	ID             int64
	Browser, Agent string // its name in short; all that it says
	Address        string
	Created, Seen  time.Time
	Expires        time.Time
	Current        bool // it is the reader's own, here
}

func loginRows(list []store.Login, current int64) []loginRow {
	rows := make([]loginRow, len(list))
	for i, l := range list {
		rows[i] = loginRow{l.ID, browserName(l.UserAgent), l.UserAgent, l.Address, l.CreatedAt, l.SeenAt, l.ExpiresAt, l.ID == current}
	}
	return rows
}

// Names that browsers and systems have in what they say they are; the first that is found counts, for later ones are in the words of earlier ones too.
var (
	browsers = [][2]string{{"Edg", "Edge"}, {"OPR/", "Opera"}, {"SamsungBrowser", "Samsung Internet"}, {"Firefox", "Firefox"}, {"FxiOS", "Firefox"}, {"CriOS", "Chrome"}, {"Chrome", "Chrome"}, {"Safari", "Safari"}, {"curl", "curl"}}
	systems  = [][2]string{{"Windows", "Windows"}, {"Android", "Android"}, {"iPhone", "iOS"}, {"iPad", "iPadOS"}, {"Mac OS X", "macOS"}, {"CrOS", "ChromeOS"}, {"Linux", "Linux"}}
)

// browserName tells a browser by what it says it is, which anybody could say: Firefox · Linux. What is not known stands for itself.
func browserName(agent string) string {
	var found []string
	for _, names := range [][][2]string{browsers, systems} {
		for _, n := range names {
			if strings.Contains(agent, n[0]) {
				found = append(found, n[1])
				break
			}
		}
	}
	if len(found) == 0 {
		return agent
	}
	return strings.Join(found, " · ")
}

type loginsPage struct {
	page
	Rows []loginRow
}

func (d *Dashboard) ownLogins(v *visit) error {
	list, err := d.cfg.Store.ListLogins(v.ctx, v.user.kept.ID)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "logins", &loginsPage{v.page("logins.title"), loginRows(list, v.user.login)})
}

// endOwnLogins ends one of the user's logins, or all but this one.
func (d *Dashboard) endOwnLogins(v *visit) error {
	var err error
	if v.ticked("others") {
		err = d.cfg.Store.EndLogins(v.ctx, v.user.kept.ID, v.user.login, v.actor())
	} else {
		err = v.endLogin(v.user.kept.ID)
	}
	if err != nil {
		return err
	}
	v.done("logins.ended")
	return v.redirect(Root + "/logins")
}

// endLogin ends the login that the form names. One that has ended already is what was wanted.
func (v *visit) endLogin(user int64) error {
	id, err := strconv.ParseInt(v.form("login"), 10, 64)
	if err != nil {
		return refuse(http.StatusBadRequest)
	}
	err = v.d.cfg.Store.EndLogin(v.ctx, user, id, v.actor())
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}
