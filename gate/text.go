package gate

import (
	"strings"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// kickOf puts an eviction into the words of the client that goes.
func kickOf(jid, accountLang string, rule rules.Effective, s *store.Session, e *store.Eviction) Kick {
	user, _, _ := strings.Cut(jid, "@")
	overrides := rule.Text
	if e.Text != nil {
		overrides = map[string]map[string]string{e.Code: e.Text}
	}
	text, lang := rules.Render(overrides, e.Code, []string{s.Lang, accountLang}, rules.Placeholders{Platform: e.Platform, Device: e.Device, Time: e.RequestedAt})
	return Kick{User: user, SID: s.SID, Resource: s.Resource, Code: e.Code, Device: e.Device, Platform: e.Platform, At: e.RequestedAt, Text: text, Lang: lang}
}

// denial puts a denial into the words of the client that is denied.
func denial(r *store.Record, rule rules.Effective, code, condition, lang string) Denial {
	d := Denial{Code: code, Condition: condition, Type: "wait"}
	if condition == "conflict" || condition == "not-allowed" {
		d.Type = "cancel"
	}
	d.Text, d.Lang = rules.Render(rule.Text, code, []string{lang, r.Lang}, rules.Placeholders{Time: r.Now})
	return d
}
