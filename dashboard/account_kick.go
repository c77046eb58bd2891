package dashboard

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/client"
)

// kickCooldowns are how long kicked devices may be kept out, in seconds.
var kickCooldowns = []int64{0, 60, 600, 3600, 86_400, 604_800}

// kickKinds are the ways to say which sessions have to go.
var kickKinds = []string{"all", "sessions", "except", "platform", "devices"}

// accountKick asks which sessions of an account are to be ended, and how.
type accountKick struct {
	*accountFrame
	Rows      []client.Session
	Devices   []client.Device
	Platforms []string
	Kind      string
	Chosen    map[string]bool // sessions and devices, by id
	Except    string
	Platform  string
	Reason    string
	Words     []kickText
	Other     kickText // in a language that the dashboard does not have
	Cooldowns []cooldownChoice
	Block     bool
	Revoke    bool
	Unchanged bool
	Revision  string
	Problem   *problem
}

type kickText struct{ Lang, Label, Text string }

type cooldownChoice struct {
	Seconds int64
	Chosen  bool
}

func (d *Dashboard) askAccountKick(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.accountKickForm(v.query)
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "account_kick", p)
}

// accountKickForm is the form with what a request says of it.
func (v *visit) accountKickForm(q url.Values) (*accountKick, error) {
	f, err := v.accountFrame()
	if err != nil {
		return nil, err
	}
	if f.Account == nil {
		return nil, refuse(http.StatusNotFound)
	}
	f.Live = nil
	v.chosen("kind", kickKinds...)
	p := &accountKick{
		accountFrame: f, Kind: oneOf(q.Get("kind"), kickKinds...), Chosen: map[string]bool{}, Except: q.Get("except"), Platform: q.Get("platform"), Reason: q.Get("reason"),
		Block: q.Get("block") != "", Revoke: q.Get("revoke") != "", Unchanged: q.Get("unchanged") != "", Revision: strconv.FormatInt(f.Account.Revision, 10),
	}
	if q.Has("revision") {
		p.Revision = q.Get("revision")
	}
	if p.Rows, err = v.liveSessions(f.JID); err != nil {
		return nil, err
	}
	if p.Devices, err = v.devicesOf(f.JID); err != nil {
		return nil, err
	}
	for _, s := range p.Rows {
		if !slices.Contains(p.Platforms, s.Platform) {
			p.Platforms = append(p.Platforms, s.Platform)
		}
	}
	slices.Sort(p.Platforms)
	for _, id := range slices.Concat(q["id"], q["device"]) {
		p.Chosen[id] = true
	}
	for _, lang := range languages {
		p.Words = append(p.Words, kickText{lang, languageNames[lang], q.Get("text_" + lang)})
	}
	p.Other = kickText{Lang: strings.TrimSpace(q.Get("other_lang")), Text: q.Get("other_text")}
	seconds, _ := strconv.ParseInt(q.Get("cooldown"), 10, 64) // none if it is no number
	for _, n := range kickCooldowns {
		p.Cooldowns = append(p.Cooldowns, cooldownChoice{n, n == seconds})
	}
	return p, nil
}

// Worded reports whether clients are to be told something else than the rule says.
func (p *accountKick) Worded() bool {
	return p.Other.Text != "" || slices.ContainsFunc(p.Words, func(t kickText) bool { return t.Text != "" })
}

// request is the kick that the form asks for.
func (p *accountKick) request(form url.Values) client.KickRequest {
	k := client.KickRequest{Reason: p.Reason, BlockDevices: p.Block, RevokeCredentials: p.Revoke}
	switch p.Kind {
	case "sessions":
		k.SessionIDs = form["id"]
	case "except":
		k.ExceptSessionID = p.Except
	case "platform":
		k.Platform = p.Platform
	case "devices":
		k.DeviceIDs = form["device"]
	default:
		k.All = true
	}
	for _, t := range append(p.Words, p.Other) {
		if text := strings.TrimSpace(t.Text); text != "" {
			if k.Text == nil {
				k.Text = map[string]string{}
			}
			k.Text[t.Lang] = text
		}
	}
	for _, c := range p.Cooldowns {
		if c.Chosen {
			k.Cooldown = client.Seconds(c.Seconds)
		}
	}
	if revision, err := strconv.ParseInt(p.Revision, 10, 64); err == nil && p.Unchanged {
		k.IfRevision = &revision
	}
	return k
}

func (d *Dashboard) kickAccount(v *visit) error {
	defer v.within(pageTimeout)()
	p, err := v.accountKickForm(v.r.PostForm)
	if err != nil {
		return err
	}
	report, err := v.api().Kick(v.once(), p.JID, p.request(v.r.PostForm))
	if p.Problem = problemOf(err); p.Problem != nil {
		p.Revision = strconv.FormatInt(p.Account.Revision, 10)
		return v.render(http.StatusUnprocessableEntity, "account_kick", p)
	} else if err != nil {
		return err
	}
	to := url.Values{"to": {v.accountLink(p.JID, "")}}
	for _, r := range report.Results {
		to.Add("id", r.SessionID)
	}
	if report.Credentials != nil {
		to.Set("credentials", report.Credentials.Outcome)
	}
	if n := len(report.BlockedDeviceIDs); n > 0 {
		to.Set("blocked", strconv.Itoa(n))
	}
	if len(report.Results) == 0 && report.Credentials == nil {
		v.done("account.kick.nobody")
		return v.toAccount(p.JID, "")
	}
	return v.redirect(Root + "/sessions/kicked?" + to.Encode())
}
