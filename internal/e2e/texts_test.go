package e2e

import (
	"fmt"
	"regexp"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// address fits what no client may be told of another: IPv4 in dots, the loopback's IPv6.
var address = regexp.MustCompile(`\d+\.\d+\.\d+\.\d+|::1`)

// wantError checks what every stream error of ours has: conflict, one text in the language, <ended/> with the code and a time, and no address.
func wantError(t testing.TB, e *xmppclient.StreamError, code, lang string) {
	t.Helper()
	if e.Condition != "conflict" || e.Ended == nil || e.Ended.Code != code || e.Ended.At == "" || e.Lang != lang || e.Text == "" {
		t.Errorf("stream error, want %s in %s: %s", code, lang, e.Raw)
	}
	if strings.Count(e.Raw, "<text") != 1 || strings.Count(e.Raw, "<ended") != 1 {
		t.Errorf("one text and one ended are wanted: %s", e.Raw)
	}
	if address.MatchString(e.Raw) {
		t.Errorf("the stream error tells an address: %s", e.Raw)
	}
}

// The evicted client reads its own stream's language and what replaced it, whatever the newcomer speaks.
func TestTextOfTakeover(t *testing.T) { servers.Each(t, testTextOfTakeover) }

func testTextOfTakeover(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	shared.rule(`{"max_sessions": 1}`)
	const override = `{"max_sessions": 1, "text": {"takeover": {
		"fr": "Déconnecté : {device} <{platform}> & {time}, {seconds}", "en": "Signed out for {device} on {platform}."}}}`
	for name, c := range map[string]struct {
		lang, rule, device string
		want               string // a pattern of the whole text
		wantLang           string
	}{
		"ja":                {"ja", "", "", `別の端末（android）でこのアカウントへのログインがあったため、ログアウトしました（\d{4}-\d\d-\d\d \d\d:\d\d UTC）。`, "ja"},
		"zh":                {"zh-Hans-CN", "", "", `您的账号已于 .* UTC 在另一台设备（android）上登录，本设备已下线。`, "zh"},
		"en":                {"en-GB", "", "", `You have been signed out: this account was signed in on another device \(android\) at .* UTC\.`, "en"},
		"unknown":           {"tlh", "", "", `You have been signed out: this account was signed in on another device \(android\) at .* UTC\.`, "en"},
		"device":            {"en", "", "Ann's <Pixel>", `You have been signed out: .* Ann's <Pixel> \(android\), at .*`, "en"},
		"override":          {"fr-CA", override, "Pixel", `Déconnecté : Pixel <android> & .* UTC,`, "fr"},
		"override, unknown": {"tlh", override, "Pixel", `Signed out for Pixel on android\.`, "en"},
		"override, no name": {"en", override, "", `Signed out for another device on android\.`, "en"},
		"override, shipped": {"ja", override, "Pixel", `別の端末「Pixel」（android）で.*`, "ja"},
	} {
		for _, transport := range transports {
			t.Run(name+"/"+transport.String(), func(t *testing.T) {
				t.Parallel()
				w := shared.in(t)
				user := fmt.Sprintf("%s.%s", strings.NewReplacer(" ", "", ",", ".").Replace(name), transport)
				if c.rule != "" {
					w.ruleOf(user, c.rule)
				}
				if c.device != "" {
					w.login(user, "android-1").Close()
					w.recorded(user, "")
					if tag, err := w.store.Pool().Exec(t.Context(), `update devices set name = $2 where account = $1`, store.KeyOf(w.jid(user)), c.device); err != nil || tag.RowsAffected() != 1 {
						t.Fatalf("name the device: %v, %v", tag, err)
					}
				}
				old := w.loginWith(user, "old", xmppclient.Options{Transport: transport, Lang: c.lang})
				w.loginWith(user, "android-1", xmppclient.Options{Lang: "nl"})
				e := w.evicted(old)
				wantError(t, e, "takeover", c.wantLang)
				if !regexp.MustCompile(`^(?:` + c.want + `)$`).MatchString(e.Text) {
					t.Errorf("text %q, want %s", e.Text, c.want)
				}
				if e.Ended.Platform != "android" || e.Ended.Device != c.device {
					t.Errorf("ended: %+v, want the device %q on android", e.Ended, c.device)
				}
			})
		}
	}
}

// A denied client reads its language too, and its stream goes on.
func TestTextOfDenial(t *testing.T) { servers.Each(t, testTextOfDenial) }

func testTextOfDenial(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	shared.rule(`{"max_sessions": 1, "on_excess": "deny", "text": {"limit": {"en": "Full.", "de": "Voll."}}}`)
	for i, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			w := shared.in(t)
			user := "full-" + transport.String()
			first := w.login(user, "first")
			second := w.dial(user, xmppclient.Options{Transport: transport, Lang: []string{"ja", "de-AT", "tlh"}[i]})
			d := w.denied(second, "second")
			want := []string{"このアカウントにログインできる端末数の上限に達しています。いずれかの端末でログアウトしてから、もう一度お試しください。", "Voll.", "Full."}[i]
			if d.Condition != "resource-constraint" || d.Type != "wait" || d.Denied == nil || d.Denied.Code != "limit" || d.Text != want || d.Lang != []string{"ja", "de", "en"}[i] {
				t.Errorf("denial: %s", d.Raw)
			}
			if strings.Count(d.Raw, "<text") != 1 || address.MatchString(d.Raw) {
				t.Errorf("denial: %s", d.Raw)
			}
			first.Close()
			w.recorded(user, "")
			w.bindIn(second, "second") // the same stream
			w.recorded(user, "second=active")
		})
	}
}

// An operator's own words for one kick, else the rule's, in the stream's language.
func TestTextOfKick(t *testing.T) { servers.Each(t, testTextOfKick) }

func testTextOfKick(t *testing.T, on *servers.Kind) {
	shared := newWorld(t, on, servers.Options{})
	for _, transport := range transports {
		t.Run(transport.String(), func(t *testing.T) {
			t.Parallel()
			w := shared.in(t)
			user := "kick-" + transport.String()
			w.ruleOf(user, `{"text": {"kick": {"zh": "再见。"}}}`)
			clients := map[string]*xmppclient.Client{}
			for _, lang := range []string{"ja", "zh", "en", "tlh"} {
				clients[lang] = w.loginWith(user, lang, xmppclient.Options{Transport: transport, Lang: lang})
			}
			w.recorded(user, "en=active ja=active tlh=active zh=active")
			kick := func(text map[string]string, generations ...int64) {
				t.Helper()
				report, err := w.running.gate.Kick(t.Context(), gate.KickRequest{Account: w.jid(user), By: store.Actor{Subject: "test"}, Select: gate.KickSelect{Sessions: generations}, Text: text}, patience)
				if err != nil {
					t.Fatal(err)
				}
				for _, r := range report.Results {
					if r.Outcome != gate.OutcomeKicked {
						t.Errorf("outcome: %+v", r)
					}
				}
			}
			said := func(lang, wantLang, want string) {
				t.Helper()
				e := w.evicted(clients[lang])
				wantError(t, e, "kick", wantLang)
				if e.Text != want || e.Ended.Platform != "" || e.Ended.Device != "" {
					t.Errorf("%s: %s, want %q", lang, e.Raw, want)
				}
			}
			kick(nil, 1, 2)
			said("ja", "ja", "この端末は遠隔操作によりログアウトされました。")
			said("zh", "zh", "再见。")
			kick(map[string]string{"en": "Reported <stolen> & gone."}, 3, 4)
			said("en", "en", "Reported <stolen> & gone.")
			said("tlh", "en", "Reported <stolen> & gone.")
			w.recorded(user, "")
		})
	}
}

// Where the stream's language is not one we speak, the account's is.
func TestTextInAccountsLanguage(t *testing.T) { servers.Each(t, testTextInAccountsLanguage) }

func testTextInAccountsLanguage(t *testing.T, on *servers.Kind) {
	w := newWorld(t, on, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	w.login("lee", "first").Close()
	w.recorded("lee", "")
	if _, err := w.store.Pool().Exec(t.Context(), `update accounts set lang = 'zh-TW' where jid = $1`, w.jid("lee")); err != nil {
		t.Fatal(err)
	}
	for stream, want := range map[string]string{"ja": "ja", "tlh": "zh"} {
		old := w.loginWith("lee", "old", xmppclient.Options{Lang: stream})
		next := w.login("lee", "next")
		wantError(t, w.evicted(old), "takeover", want)
		w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
		if d := w.denied(w.dial("lee", xmppclient.Options{Lang: stream}), "other"); d.Lang != want {
			t.Errorf("denial to %s: %s", stream, d.Raw)
		}
		w.rule(`{"max_sessions": 1}`)
		next.Close()
		w.recorded("lee", "")
	}
}
