package dashboard

import (
	"net/http"
	"strconv"

	"github.com/bindgate/bindgate/client"
)

// accountMore is the part with what is done seldom: group and language, grants, a check of a session, export and erasure.
type accountMore struct {
	*accountFrame
	Groups  []string
	Devices []client.Device
	Grant   grantForm
	Granted *client.Grant // just made: its token is told this once
	Check   verifyForm
	Verdict *client.Verdict // of the check; nil: none was asked for
	Problem *problem
	At      string // the form that the problem is of
}

type grantForm struct {
	Device, Resource string
	Minutes          string
}

type verifyForm struct{ By, Value, Generation string }

// moreForms is what one of the part's forms has come to.
type moreForms struct {
	At      string
	Problem *problem
	Grant   *grantForm
	Granted *client.Grant
}

// maxGroups bounds the groups that are offered to choose from.
const maxGroups = 500

func (v *visit) accountMore(f *accountFrame, came *moreForms) error {
	p := &accountMore{accountFrame: f, Grant: grantForm{Minutes: "5"}, Check: verifyForm{v.chosen("by", "session", "resource", "device"), v.query.Get("value"), v.query.Get("generation")}}
	f.Live = nil
	status := http.StatusOK
	if came != nil {
		if p.At, p.Problem, p.Granted = came.At, came.Problem, came.Granted; p.Problem != nil {
			status = http.StatusUnprocessableEntity
		}
		if came.Grant != nil {
			p.Grant = *came.Grant
		}
	}
	if v.may(Admin) {
		next := ""
		groups, err := client.Collect(v.api().ListGroups(v.ctx, client.ListOptions{PageSize: maxGroups, Next: &next}))
		if err != nil {
			return err
		}
		for _, g := range groups {
			p.Groups = append(p.Groups, g.Name)
		}
	}
	var err error
	if p.Devices, err = v.devicesOf(f.JID); err != nil {
		return err
	}
	if p.Check.Value != "" && v.may(Support) {
		if err := v.check(p); err != nil {
			return err
		}
		if p.Problem != nil {
			status = http.StatusUnprocessableEntity
		}
	}
	return v.render(status, "account_more", p)
}

// check asks whether a session that somebody holds still stands.
func (v *visit) check(p *accountMore) error {
	r := client.VerifyRequest{}
	switch p.Check.By {
	case "resource":
		r.Resource = p.Check.Value
	case "device":
		r.DeviceID = p.Check.Value
	default:
		r.SessionID = p.Check.Value
	}
	if p.Check.Generation != "" {
		n, err := strconv.ParseInt(p.Check.Generation, 10, 64)
		if err != nil {
			p.At, p.Problem = "verify", &problem{What: "input"}
			return nil
		}
		r.Generation = n
	}
	verdict, err := v.api().Verify(v.ctx, p.JID, r)
	if p.Problem = problemOf(err); p.Problem != nil {
		p.At = "verify"
		return nil
	} else if isMissing(err) {
		p.Verdict = &client.Verdict{Reason: "not_found"}
		return nil
	}
	p.Verdict = verdict
	return err
}

// makeGrant lets one login take over. Its token is on the answer alone.
func (d *Dashboard) makeGrant(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	f.Part = "more"
	form := grantForm{v.form("device"), v.form("resource"), v.form("minutes")}
	came := &moreForms{At: "grant", Grant: &form}
	minutes, err := strconv.Atoi(form.Minutes)
	if err != nil || minutes < 1 || minutes > 24*60 {
		came.Problem = &problem{What: "input", Field: "minutes"}
		return v.accountMore(f, came)
	}
	came.Granted, err = v.api().CreateGrant(v.once(), f.JID, client.GrantRequest{DeviceID: form.Device, Resource: form.Resource, TTL: client.Seconds(60 * minutes)})
	if came.Problem = problemOf(err); came.Problem == nil && err != nil {
		return err
	}
	return v.accountMore(f, came)
}

// Token is the new grant's, for the one page that shows it.
func (p *accountMore) Token() string {
	if p.Granted == nil {
		return ""
	}
	return string(p.Granted.Token)
}

func (d *Dashboard) putGroup(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	f.Part = "more"
	_, err = v.api().PutAccountGroup(v.once(), f.JID, v.form("group"))
	if wrong := problemOf(err); wrong != nil {
		return v.accountMore(f, &moreForms{At: "group", Problem: wrong})
	} else if err != nil {
		return err
	}
	v.done("account.group.done")
	return v.toAccount(f.JID, "more")
}

func (d *Dashboard) putLanguage(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	f.Part = "more"
	_, err = v.api().ChangeAccount(v.once(), f.JID, v.form("lang"))
	if wrong := problemOf(err); wrong != nil {
		return v.accountMore(f, &moreForms{At: "lang", Problem: wrong})
	} else if err != nil {
		return err
	}
	v.done("account.lang.done")
	return v.toAccount(f.JID, "more")
}

// askRelease asks whether all who wait may come in at once.
func (d *Dashboard) askRelease(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	f.Live = nil
	return v.render(http.StatusOK, "account_release", f)
}

func (d *Dashboard) release(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	if err := v.api().ReleaseProtection(v.once(), f.JID); err != nil {
		return err
	}
	v.done("account.release.done")
	return v.toAccount(f.JID, "")
}
