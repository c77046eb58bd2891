package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"time"
	"unicode"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// The sizes of what a kick may carry, in elements and characters.
const (
	maxSelected = 500
	maxReason   = 1024
	maxPlatform = 64

	maxKickCooldown = 7 * 86_400 // seconds
)

var selectors = []string{"session_ids", "device_ids", "platform", "except_session_id", "all"}

// kickReport is what became of a kick.
type kickReport struct {
	Generation int64        `json:"generation"`
	Revision   int64        `json:"revision"`
	Results    []kickResult `json:"results"`
	Blocked    []string     `json:"blocked_device_ids,omitzero"` // with block_devices only

	Credentials *credentials `json:"credentials,omitempty"` // with revoke_credentials only
	Warnings    []string     `json:"warnings,omitempty"`
}

type kickResult struct {
	SessionID string `json:"session_id"`
	Resource  string `json:"resource"`
	Outcome   string `json:"outcome"`
	Blocked   *bool  `json:"device_blocked,omitempty"` // with block_devices only
}

const outcomePending = "pending"

func (a *api) kick(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	o, err := readObject(c.Request(), append(append([]string{}, selectors...), "reason", "text", "cooldown_seconds", "block_devices", "revoke_credentials", "if_revision")...)
	if err != nil {
		return err
	}
	r := gate.KickRequest{Account: acc.jid, By: c.actor(), Select: kickSelect(o, acc.key)}
	r.Reason = o.words("reason", maxReason)
	r.Text = o.languages("text")
	if n := o.within("cooldown_seconds", 0, maxKickCooldown); n != nil {
		r.Cooldown = time.Duration(*n) * time.Second
	}
	block := o.boolean("block_devices")
	r.Block = block != nil && *block
	revoke := o.boolean("revoke_credentials")
	r.Revoke = revoke != nil && *revoke
	r.IfRevision = o.within("if_revision", 0, math.MaxInt64)
	if o.problem != nil {
		return o.problem
	}
	return a.respondKick(c, acc.key, r)
}

func (a *api) respondKick(c *call, key store.Key, r gate.KickRequest) error {
	report, err := a.gate.Kick(c.ctx, r, a.kickWait)
	if err != nil {
		return err
	}
	v := kickReport{Generation: report.Generation, Revision: report.Revision, Results: make([]kickResult, len(report.Results))}
	if r.Block {
		v.Blocked = make([]string, len(report.Blocked))
		for i, d := range report.Blocked {
			v.Blocked[i] = store.DeviceID(key, d)
		}
	}
	if v.Warnings, err = a.platformWarnings(c, "/platform", r.Select.Platform); err != nil {
		a.log.WarnContext(c.ctx, "a kick is accepted; whether its platform is known could not be told", "error", err)
	}
	status := http.StatusOK
	if r.Revoke {
		v.Credentials = showCredentials(report.Credentials)
		if v.Credentials.Outcome == outcomePending {
			status = http.StatusAccepted
		}
	}
	for i, o := range report.Results {
		v.Results[i] = kickResult{SessionID: store.SessionID(key, o.Generation), Resource: o.Resource, Outcome: o.Outcome}
		if r.Block {
			v.Results[i].Blocked = &o.Blocked
		}
		if o.Outcome == outcomePending {
			status = http.StatusAccepted
		}
	}
	return c.respond(status, v)
}

// kickSelect reads exactly one selector.
func kickSelect(o *object, key store.Key) gate.KickSelect {
	var s gate.KickSelect
	if !o.exactlyOne(selectors) {
		return s
	}
	switch {
	case o.has("session_ids"):
		s.Sessions = o.ids("session_ids", "session", key, store.ParseSessionID)
	case o.has("device_ids"):
		s.Devices = o.ids("device_ids", "device", key, store.ParseDeviceID)
	case o.has("platform"):
		s.Platform = o.text("platform", maxPlatform)
	case o.has("except_session_id"):
		s.Except = o.id("/except_session_id", "session", o.fields["except_session_id"], key, store.ParseSessionID)
	default:
		if s.All = string(o.fields["all"]) == "true"; !s.All {
			o.wrong("/all", "This must be true; leave it out to select sessions in another way.")
		}
	}
	return s
}

// exactlyOne checks that one of the fields is there, and no other.
func (o *object) exactlyOne(names []string) bool {
	var there []string
	for _, name := range names {
		if o.has(name) {
			there = append(there, name)
		}
	}
	switch len(there) {
	case 0:
		o.wrong("", fmt.Sprintf("Exactly one of %s is needed; none is there.", strings.Join(names, ", ")))
	case 1:
		return true
	default:
		o.wrong("/"+there[1], fmt.Sprintf("Exactly one of %s is needed; there are %s.", strings.Join(names, ", "), strings.Join(there, " and ")))
	}
	return false
}

type idParser func(string) (store.Key, int64, error)

// id reads a public id of the account.
func (o *object) id(at, kind string, raw json.RawMessage, key store.Key, parse idParser) int64 {
	s := o.textAt(at, raw, 64)
	k, n, err := parse(s)
	if err != nil || k != key {
		o.wrong(at, fmt.Sprintf("This is not the id of a %s of this account.", kind))
		return 0
	}
	return n
}

func (o *object) ids(name, kind string, key store.Key, parse idParser) []int64 {
	var out []int64
	seen := map[int64]bool{}
	for i, raw := range o.list(name, maxSelected) {
		at := fmt.Sprintf("/%s/%d", name, i)
		n := o.id(at, kind, raw, key, parse)
		if seen[n] {
			o.wrong(at, "This id is there twice.")
		}
		seen[n] = true
		out = append(out, n)
	}
	return out
}

// words reads a text of one line, which XML 1.0 can hold too (§2.2).
func (o *object) words(name string, limit int) string {
	s := o.text(name, limit)
	if strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == 0xfffe || r == 0xffff }) {
		o.wrong("/"+name, "This holds a control character, such as a line break; it has to be one line.")
	}
	return s
}

// languages reads an object of language tags (BCP 47) and texts by the same measure as a rule's text; nil if it is not there.
func (o *object) languages(name string) map[string]string {
	raw, ok := o.fields[name]
	if !ok {
		return nil
	}
	const code = "kick" // of the words of a session that an operator ends
	rule, err := rules.Parse(fmt.Appendf(nil, `{"text":{%q:%s}}`, code, raw))
	var wrong *rules.FieldError
	switch {
	case errors.As(err, &wrong):
		o.wrong("/"+name+strings.TrimPrefix(wrong.Field, "/text/"+code), sentence(wrong.Message))
	case err != nil:
		o.wrong("/"+name, sentence(err.Error()))
	case len(rule.Text.Value[code]) == 0:
		o.wrong("/"+name, "This must have one language at least; leave it out to use the rule's text.")
	}
	return rule.Text.Value[code]
}
