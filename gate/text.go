package gate

import (
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// kickOf puts an eviction into the words of the client that goes.
func kickOf(jid string, langs []string, rule rules.Effective, s *store.Session, e *store.Eviction) Kick {
	user, _, _ := strings.Cut(jid, "@")
	overrides := rule.Text
	if e.Text != nil {
		overrides = map[string]map[string]string{e.Code: e.Text}
	}
	text, lang := rules.Render(overrides, e.Code, langs, rules.Placeholders{Platform: e.Platform, Device: e.Device, Time: e.RequestedAt})
	return Kick{User: user, SID: s.SID, Resource: s.Resource, Code: e.Code, Device: e.Device, Platform: e.Platform, At: e.RequestedAt, Text: text, Lang: lang}
}

// denial puts a denial into the words of the client that is denied.
func denial(r *store.Record, rule rules.Effective, code, condition, lang string, retryAfter time.Duration) Denial {
	d := Denial{Code: code, Condition: condition, Type: "wait", RetryAfter: retryAfter}
	if condition == "conflict" || condition == "not-allowed" {
		d.Type = "cancel"
	}
	d.Text, d.Lang = rules.Render(rule.Text, code, r.Langs(lang), rules.Placeholders{Time: r.Now, Seconds: int(retryAfter / time.Second)})
	return d
}

// deniedText is the text for a session that lives and goes because its login is denied: that of the denial, as if it had been held. nil: the denial has none.
func deniedText(r *store.Record, s *store.Session, d rules.Decision, rule rules.Effective) map[string]string {
	words := denial(r, rule, string(d.Code), d.Condition, s.Lang, d.RetryAfter)
	if words.Text == "" {
		return nil
	}
	return map[string]string{words.Lang: words.Text}
}

// choices offers sessions to the user of a login that was denied for them.
func (g *Gate) choices(r *store.Record, asker *store.Session, generations []int64) []Choice {
	var out []Choice
	for _, n := range generations[:min(len(generations), maxChoices)] {
		s := r.ByGeneration(n)
		c := Choice{Token: g.choice(r, asker, n), Resource: s.Resource, Platform: s.Platform, StartedAt: s.StartedAt, Idle: max(r.Now.Sub(s.LastSeenAt), 0)}
		if d := r.Device(s.Device); d != nil {
			c.Device = d.Name
		}
		out = append(out, c)
	}
	return out
}

// maxChoices bounds what a denied client is offered.
const maxChoices = 50
