package xmppbridge

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bindgate/bindgate/gate"
)

// What clients answer is theirs to choose.
func TestSoftware(t *testing.T) {
	t.Parallel()
	const refused = `<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`
	version := func(s string) string { return `<query xmlns='jabber:iq:version'>` + s + `</query>` }
	disco := func(s string) string { return `<query xmlns='http://jabber.org/protocol/disco#info'>` + s + `</query>` }
	for name, c := range map[string]struct {
		version, disco string // an answer's payload; "": none comes
		want           gate.Software
		err            bool
	}{
		"both": {
			version(`<name>Gajim</name><version>1.8</version><os>Debian GNU/Linux</os>`), disco(`<identity category='client' type='pc' name='Gajim'/><feature var='x'/>`),
			gate.Software{Name: "Gajim", OS: "Debian GNU/Linux", Type: "pc"},
			false,
		},
		"version only":        {version(`<name>Gajim</name>`), refused, gate.Software{Name: "Gajim"}, false},
		"disco only":          {refused, disco(`<identity category='account' type='registered'/><identity category='client' type='web'/>`), gate.Software{Type: "web"}, false},
		"disco and silence":   {"", disco(`<identity category='client' type='web'/>`), gate.Software{Type: "web"}, false},
		"neither":             {refused, refused, gate.Software{}, false},
		"silence":             {"", "", gate.Software{}, true},
		"empty":               {version(``), disco(``), gate.Software{}, false},
		"something else":      {`<x xmlns='y'/>`, `<query xmlns='z'><identity category='client' type='pc'/></query>`, gate.Software{}, false},
		"odd characters":      {version("<name> a\u202eb(c)[d]\n\t e\u0085 </name><os>☃️ 雪</os>"), refused, gate.Software{Name: "abc[d] e", OS: "☃️ 雪"}, false},
		"long":                {version(`<name>` + strings.Repeat("é", 5000) + `</name>`), refused, gate.Software{Name: strings.Repeat("é", 32)}, false},
		"much too long":       {version(`<name>` + strings.Repeat("é", 50000) + `</name>`), refused, gate.Software{}, false},
		"deep":                {version(strings.Repeat("<a>", 100) + strings.Repeat("</a>", 100)), disco(`<identity category='client' type='pc'/>`), gate.Software{Type: "pc"}, false},
		"types that are none": {refused, disco(`<identity category='client'/><identity category='client' type='P C'/><identity xmlns='q' category='client' type='pc'/><identity category='client' type='bot'/>`), gate.Software{Type: "bot"}, false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, p, link := up(t, newFakeGate(), nil)
				ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
				defer cancel()
				type result struct {
					software gate.Software
					err      error
				}
				out := make(chan result, 1)
				go func() {
					s, err := link.Software(ctx, source, "a♥b", "r&1")
					out <- result{s, err}
				}()
				for range 2 {
					s, _ := p.recvRaw()
					h, err := parseHead([]byte(s))
					if err != nil || h.kind != "get" || h.to != "a♥b@example.org/r&1" || h.from != testComponent {
						t.Fatalf("request %s: %v", s, err)
					}
					payload := c.version
					if strings.Contains(s, nsDisco) {
						payload = c.disco
					}
					kind := "result"
					if strings.HasPrefix(payload, "<error") {
						kind = "error"
					}
					// Somebody else cannot answer for it.
					p.send(`<iq type='result' id='` + h.id + `' from='a♥b@example.org/r' to='` + h.from + `'>` + version(`<name>Bot</name>`) + `</iq>`)
					if payload != "" {
						p.send(`<iq type='` + kind + `' id='` + h.id + `' from='a♥b@example.org/r&amp;1' to='` + h.from + `'>` + payload + `</iq>`)
					}
				}
				got := <-out
				if got.software != c.want || (got.err != nil) != c.err {
					t.Errorf("%+v, %v", got.software, got.err)
				}
				if _, err := link.Probe(ctx, source, "a", nil, time.Second); errors.Is(err, ErrDown) {
					t.Error("the link is down")
				}
			})
		})
	}
}
