package e2e

import (
	"fmt"
	"strings"
	"syscall"
	"testing"

	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// ids returns the public ids of an account's live sessions by resource.
func (w *world) ids(user string) map[string]string {
	w.t.Helper()
	out := map[string]string{}
	for _, s := range w.sessions(user) {
		out[s.Resource] = store.SessionID(store.KeyOf(w.jid(user)), s.Generation)
	}
	return out
}

// The answer to a kick is what has been seen to happen on the server.
func TestKickOverREST(t *testing.T) {
	t.Parallel()
	shared := newWorld(t, servers.Any, servers.Options{})
	sharedAPI := shared.rest()
	for name, c := range map[string]struct {
		body             string // {resource} is that session's id
		outcomes, remain string
	}{
		"all":      {`{"all": true, "reason": "test"}`, "android-1=kicked android-2=kicked desk=kicked web-1=kicked", ""},
		"except":   {`{"except_session_id": "{desk}"}`, "android-1=kicked android-2=kicked web-1=kicked", "desk=active"},
		"platform": {`{"platform": "android"}`, "android-1=kicked android-2=kicked", "desk=active web-1=active"},
		"several":  {`{"session_ids": ["{web-1}", "{android-2}", "{gone}"]}`, "android-2=kicked gone=gone web-1=kicked", "android-1=active desk=active"},
		"nobody":   {`{"platform": "bot"}`, "", "android-1=active android-2=active desk=active web-1=active"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, api := shared.in(t), sharedAPI.in(t)
			w.login(name, "gone").Close()
			gone := ""
			w.until("the first has ended", func() string {
				var shown shownSessions
				api.do("GET", "/v1/accounts/"+name+"@localhost/sessions?state=ended", "", &shown, 200, 404)
				if len(shown.Items) != 1 {
					return "it has not"
				}
				gone = shown.Items[0].ID
				return ""
			})
			clients := map[string]*xmppclient.Client{}
			for i, r := range []string{"android-1", "web-1", "android-2", "desk"} {
				clients[r] = w.loginWith(name, r, xmppclient.Options{Transport: transports[i%3], Lang: []string{"ja", "zh", "en", "tlh"}[i]})
			}
			w.recorded(name, "android-1=active android-2=active desk=active web-1=active")
			ids := w.ids(name)
			ids["gone"] = gone
			body := c.body
			for r, id := range ids {
				body = strings.ReplaceAll(body, "{"+r+"}", id)
			}
			var got shownKick
			api.do("POST", "/v1/accounts/"+name+"@localhost/kick", body, &got, 200)
			if got.outcomes() != c.outcomes || got.Generation != 5 || got.Revision == 0 {
				t.Errorf("%+v, want %s", got, c.outcomes)
			}
			// It is so already when the answer comes.
			if record := w.record(name); record != c.remain {
				t.Errorf("on record: %s, want %s", record, c.remain)
			}
			if on := w.onServer(name); on != strings.ReplaceAll(c.remain, "=active", "") {
				t.Errorf("on the server: %s, want %s", on, c.remain)
			}
			for r, client := range clients {
				if strings.Contains(c.remain, r) {
					w.stays(client)
					continue
				}
				wantError(t, w.evicted(client), "kick", map[string]string{"android-1": "ja", "web-1": "zh", "android-2": "en", "desk": "en"}[r])
				var shown shownSession
				api.do("GET", "/v1/sessions/"+ids[r], "", &shown, 200)
				if shown.State != "ended" || shown.EndReason == nil || *shown.EndReason != "kick" || shown.EndedAt == nil || shown.Resource != r {
					t.Errorf("%s: %+v", r, shown)
				}
			}
			for _, r := range got.Results {
				if ids[r.Resource] != r.SessionID {
					t.Errorf("the result of %s has the id of another", r.Resource)
				}
			}
		})
	}
}

// A kick's own words go out in each stream's language.
func TestWordsOfKickOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Any, servers.Options{})
	api := w.rest()
	clients := map[string]*xmppclient.Client{}
	for _, lang := range []string{"de-AT", "ja", "fr"} {
		clients[lang] = w.loginWith("words", lang, xmppclient.Options{Lang: lang})
	}
	w.recorded("words", "de-AT=active fr=active ja=active")
	var got shownKick
	api.do("POST", "/v1/accounts/words@localhost/kick", `{"all": true, "text": {"de": "Gerät <gesperrt>.", "en": "Reported stolen."}}`, &got, 200)
	for lang, want := range map[string][2]string{"de-AT": {"de", "Gerät <gesperrt>."}, "ja": {"ja", "この端末は遠隔操作によりログアウトされました。"}, "fr": {"en", "Reported stolen."}} {
		e := w.evicted(clients[lang])
		wantError(t, e, "kick", want[0])
		if e.Text != want[1] {
			t.Errorf("%s: %q, want %q", lang, e.Text, want[1])
		}
	}
	// Nobody is left; the same kick again finds nobody.
	api.do("POST", "/v1/accounts/words@localhost/kick", `{"all": true}`, &got, 200)
	if len(got.Results) != 0 {
		t.Errorf("again: %+v", got)
	}
}

func TestDeleteSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Any, servers.Options{})
	api := w.rest()
	one, two := w.loginWith("del", "one", xmppclient.Options{SM: true, Lang: "zh"}), w.login("del", "two")
	w.recorded("del", "one=active two=active")
	one.Cut()
	w.recorded("del", "one=hibernating two=active")
	id := w.ids("del")["one"]
	for _, want := range []string{"one=kicked", "one=gone"} {
		var got shownKick
		api.do("DELETE", "/v1/sessions/"+id, "", &got, 200)
		if got.outcomes() != want {
			t.Errorf("%+v, want %s", got, want)
		}
	}
	var shown shownSession
	api.do("GET", "/v1/sessions/"+id, "", &shown, 200)
	if shown.State != "ended" || shown.EndReason == nil || *shown.EndReason != "kick" {
		t.Errorf("%+v", shown)
	}
	w.recorded("del", "two=active")
	w.stays(two)
	w.refused(one, "del", xmppclient.TCP)
}

// A server that does not answer: the kick is accepted, pending, and done as soon as the server is itself again.
func TestPendingKick(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Any, servers.Options{})
	api := w.rest()
	c := w.loginWith("slow", "phone", xmppclient.Options{Lang: "ja"})
	w.recorded("slow", "phone=active")
	id := w.ids("slow")["phone"]
	if err := w.server.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = w.server.Signal(syscall.SIGCONT) })
	var got shownKick
	api.do("POST", "/v1/accounts/slow@localhost/kick", `{"all": true}`, &got, 202)
	if got.outcomes() != "phone=pending" {
		t.Errorf("%+v, want phone=pending", got)
	}
	var shown shownSession
	api.do("GET", "/v1/sessions/"+id, "", &shown, 200)
	if shown.State != "evicting" {
		t.Errorf("%+v, want it evicting", shown)
	}
	var verdict shownVerdict
	api.do("POST", "/v1/accounts/slow@localhost/verify", `{"session_id": "`+id+`"}`, &verdict, 200)
	if verdict.Current || verdict.Reason != "evicting" {
		t.Errorf("verify: %+v", verdict)
	}
	if err := w.server.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	wantError(t, w.evicted(c), "kick", "ja")
	w.recorded("slow", "")
	api.do("GET", "/v1/sessions/"+id, "", &shown, 200)
	if shown.State != "ended" || shown.EndReason == nil || *shown.EndReason != "kick" {
		t.Errorf("%+v, want it ended by the kick", shown)
	}
}

// An app backend can ask whether the session it knows still stands.
func TestVerifyAroundTakeover(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Any, servers.Options{})
	w.rule(`{"max_sessions": 1}`)
	api := w.rest()
	verify := func(body string, want shownVerdict) {
		t.Helper()
		var got shownVerdict
		if api.do("POST", "/v1/accounts/vera@localhost/verify", body, &got, 200); got != want {
			t.Errorf("verify %s: %+v, want %+v", body, got, want)
		}
	}
	first := w.login("vera", "phone")
	w.recorded("vera", "phone=active")
	old := w.ids("vera")["phone"]
	verify(`{"session_id": "`+old+`", "generation": 1}`, shownVerdict{true, "current"})
	verify(`{"resource": "phone"}`, shownVerdict{true, "current"})
	verify(`{"resource": "tablet"}`, shownVerdict{false, "not_found"})
	second := w.login("vera", "tablet")
	_ = w.evicted(first)
	w.recorded("vera", "tablet=active")
	verify(`{"session_id": "`+old+`"}`, shownVerdict{false, "ended"})
	verify(`{"resource": "phone", "generation": 1}`, shownVerdict{false, "ended"})
	verify(`{"resource": "tablet", "generation": 2}`, shownVerdict{true, "current"})
	// The same resource: who held it before is told apart by the generation.
	third := w.login("vera", "tablet")
	_ = w.evicted(second)
	w.recorded("vera", "tablet=active")
	verify(`{"resource": "tablet", "generation": 2}`, shownVerdict{false, "superseded"})
	verify(`{"resource": "tablet", "generation": 3}`, shownVerdict{true, "current"})
	third.Close()
	w.recorded("vera", "")
	verify(`{"resource": "tablet", "generation": 3}`, shownVerdict{false, "ended"})
}

// Decisions over REST name the sessions by the ids of the rest of the API.
func TestDecisionsOverREST(t *testing.T) {
	t.Parallel()
	w := newWorld(t, servers.Any, servers.Options{})
	w.rule(`{"max_sessions": 2}`)
	api := w.rest()
	var clients []*xmppclient.Client
	id := func(generation int) string { return store.SessionID(store.KeyOf(w.jid("deb")), int64(generation)) }
	for i := range 3 {
		clients = append(clients, w.login("deb", fmt.Sprint("r", i)))
	}
	_ = w.evicted(clients[0])
	w.rule(`{"max_sessions": 1}`)
	w.login("deb", "last")
	w.rule(`{"max_sessions": 1, "on_excess": "deny"}`)
	_ = w.denied(w.dial("deb", xmppclient.Options{}), "denied")
	var got shownDecisions
	api.do("GET", "/v1/accounts/deb@localhost/decisions", "", &got, 200)
	want := []struct {
		resource, outcome, code, session string
		evicted                          []string
	}{
		{"denied", "deny", "limit", "", nil},
		{"last", "allow", "takeover", id(4), []string{id(2), id(3)}},
		{"r2", "allow", "takeover", id(3), []string{id(1)}},
		{"r1", "allow", "ok", id(2), nil},
		{"r0", "allow", "ok", id(1), nil},
	}
	if len(got.Items) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i, d := range got.Items {
		session := ""
		if d.SessionID != nil {
			session = *d.SessionID
		}
		x := want[i]
		if d.Resource != x.resource || d.Outcome != x.outcome || d.Code != x.code || session != x.session || strings.Join(d.Evicted, " ") != strings.Join(x.evicted, " ") ||
			d.Account != "deb@localhost" || d.RuleLevel != "default" || len(d.Explanation) == 0 || d.Shadow {
			t.Errorf("decision %d: %+v, want %+v", i, d, x)
		}
	}
	// Each session on record names its decision, and the evicted ones have ended by it.
	for g, reason := range map[int]string{1: "takeover", 2: "takeover", 3: "takeover", 4: ""} {
		var shown shownSession
		api.do("GET", "/v1/sessions/"+id(g), "", &shown, 200)
		if (shown.State == "ended") != (reason != "") || reason != "" && (shown.EndReason == nil || *shown.EndReason != reason) {
			t.Errorf("generation %d: %+v", g, shown)
		}
	}
}
