package clients

import (
	"context"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/servers"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Clients that others wrote see what bindgate does to them, do what they do, and each account settles on its newest login.
func TestClients(t *testing.T) {
	servers.Each(t, func(t *testing.T, on *servers.Kind) {
		w := newWorld(t, on)
		for _, l := range libraries {
			t.Run(l.name, func(t *testing.T) {
				t.Parallel()
				testLibrary(t, w, l)
			})
		}
	})
}

// play is one library on one server. All its logins are in one program; each has an account of its own.
type play struct {
	*world
	library
	t      *testing.T
	logins []string
	report *Report
}

func testLibrary(t *testing.T, w *world, l library) {
	p := &play{world: w, library: l, t: t}
	full := client.Rule{MaxSessions: client.Set(1), OnExcess: client.DenyNewcomer}

	conflict, failure, clean := p.account("conflict", "plain"), p.account("failure", "plain"), p.account("clean", "plain")
	polite, again := p.account("polite", "polite"), p.account("again", "polite")
	denial, refused := p.account("denial", "plain"), p.account("refused", "polite")
	for _, user := range []string{denial, refused} {
		w.rule(t, user, full)
		w.login(t, user, "tv")
	}
	grant, tv := p.granted(full)
	choose := p.account("choose", "polite")
	w.rule(t, choose, client.Rule{MaxSessions: client.Set(1), OnExcess: client.LetChoose})
	chosen := w.login(t, choose, "tv")

	p.report = l.start(t, w.arguments(t, p.logins...))
	for _, user := range []string{conflict, failure, clean, polite, again} {
		e := p.report.Of(user).Wants("online")
		if p.names && e.Text("jid") != w.jid(user)+"/phone" {
			t.Errorf("%s is %s", user, e.Line)
		}
	}

	// A polite one stops, and tells the user who logged in; if it has missed that, what it reads when it comes back.
	newest := w.login(t, polite, "laptop")
	missed := map[string]bool{polite: p.told(polite, "takeover", "cooldown") == "cooldown"}
	w.settled(t, polite, "laptop")

	// By itself the library does what it does.
	newer := w.login(t, conflict, "laptop")
	missed[conflict] = !p.ended(conflict)
	for _, user := range []string{failure, again} {
		if err := w.server.End(t.Context(), user); err != nil {
			t.Fatal(err)
		}
	}
	closer, closes := w.server.(interface {
		Close(ctx context.Context, user string) error
	})
	if closes {
		if err := closer.Close(t.Context(), clean); err != nil {
			t.Fatal(err)
		}
		p.does(clean, l.after.clean)
	}
	p.does(failure, l.after.failure)
	p.report.Of(again).Wants("online")
	comes := l.after.conflict == returns || missed[conflict] && l.after.failure == returns
	if comes {
		p.denied(conflict, "cooldown")
	}
	if comes && l.after.denial == stops {
		p.report.Of(conflict).Wants("closed")
	}
	w.settled(t, conflict, "laptop")

	// A bind that is denied.
	p.denied(denial, "limit")
	if l.after.denial == stops {
		p.report.Of(denial).Wants("closed")
	}
	p.told(refused, "limit")

	// A grant takes over; so does the token of the session that the user chose.
	p.report.Of(grant).Wants("online")
	p.gone(tv)
	p.report.Of(choose).Wants("asked", "resources", "tv")
	p.report.Of(choose).Wants("online")
	p.gone(chosen)
	for _, user := range []string{grant, choose} {
		w.settled(t, user, "phone")
	}

	// By now all that come back have come. The others have done nothing since.
	w.stays(t, newest)
	w.stays(t, newer)
	for user, want := range map[string][]string{
		conflict: {"allow/ok", "allow/takeover"},
		polite:   {"allow/ok", "allow/takeover"},
		failure:  {"allow/ok"},
		clean:    {"allow/ok"},
	} {
		got := w.decided(t, user)
		if user == conflict && comes || user == polite && missed[polite] {
			want = append(want, "deny/cooldown")
		}
		if user == failure && l.after.failure == returns || user == clean && l.after.clean == returns && closes {
			want = append(want, "allow") // ok, or takeover of its own last session, which is not known to have ended yet
		}
		if !slices.EqualFunc(got, want, strings.HasPrefix) {
			t.Errorf("%s: %q was decided, want %q", user, got, want)
		}
	}
	for _, user := range []string{conflict, polite, failure, clean, again, denial, refused} {
		p.report.Of(user).Silent()
	}
}

// account returns a user of that name and has the program log it in.
func (p *play) account(name, mode string) string { return p.accountWith(name, mode, "") }

func (p *play) accountWith(name, mode, token string) string {
	p.t.Helper()
	user := strings.ToLower(strings.ReplaceAll(p.name, ".", "")) + "-" + name
	p.logins = append(p.logins, strings.Join([]string{user, "phone", "ja", mode, token}, "/"))
	return user
}

// granted is an account that has no room, for which the app's backend has made a grant, and the device that is in the way.
func (p *play) granted(full client.Rule) (string, *xmppclient.Client) {
	p.t.Helper()
	user := strings.ToLower(strings.ReplaceAll(p.name, ".", "")) + "-grant"
	p.rule(p.t, user, full)
	g, err := p.api.CreateGrant(p.t.Context(), p.jid(user), client.GrantRequest{})
	if err != nil {
		p.t.Fatal(err)
	}
	tv := p.login(p.t, user, "tv")
	return p.accountWith("grant", "polite", string(g.Token)), tv
}

// ended wants our stream error as far as it is read, in the user's language where the library tells it, and the end of the connection. It returns whether the error was
// read: a client that writes just when the server closes may find the connection broken before it reads what came last, and takes it for a lost network.
func (p *play) ended(user string) (read bool) {
	p.t.Helper()
	e := p.report.Of(user).Next()
	if e.Text("what") == "closed" {
		p.t.Logf("%s missed the stream error", user)
		return false
	}
	defer p.report.Of(user).Wants("closed")
	if p.library.ended == "" && e.Text("what") == "broken" {
		return true
	}
	if e.Text("what") != "ended" || e.Text("condition") != "conflict" {
		p.t.Fatalf("%s said %s, want the conflict", user, e.Line)
	}
	lang := "ja"
	if !p.speaks { // both servers take it for English then
		lang = "en"
	}
	for _, field := range strings.Fields(p.library.ended) {
		if want := map[string]string{"lang": lang, "code": "takeover"}[field]; want != "" && e.Text(field) != want || field == "text" && japanese(e.Text(field)) != (lang == "ja") {
			p.t.Errorf("%s read %s, want it in %s", user, e.Line, lang)
		}
	}
	if strings.Contains(e.Line, "127.0.0.1") {
		p.t.Errorf("%s read an address: %s", user, e.Line)
	}
	return true
}

// told wants the words for the user, and returns which of the codes they are for.
func (p *play) told(user string, codes ...string) string {
	p.t.Helper()
	e := p.report.Of(user).Wants("told")
	if !slices.Contains(codes, e.Text("code")) || !japanese(e.Text("text")) {
		p.t.Errorf("%s tells its user %s, want %q", user, e.Line, codes)
	}
	return e.Text("code")
}

func (p *play) denied(user, code string) {
	p.t.Helper()
	e := p.report.Of(user).Wants("denied", "condition", "resource-constraint", "type", "wait")
	if want := map[bool]string{true: code}[p.why]; e.Text("code") != want {
		p.t.Errorf("%s read %s, want the code %q", user, e.Line, want)
	}
}

// does wants what follows the end of a stream: first, if at all, what is read of it. Over BOSH Prosody's own stream error is lost between two requests.
func (p *play) does(user string, r reaction) {
	p.t.Helper()
	if e := p.report.Of(user).Next(); e.Text("what") == "ended" {
		p.report.Of(user).Wants("closed")
	} else if e.Text("what") != "closed" {
		p.t.Fatalf("%s said %s, want closed", user, e.Line)
	}
	if r == returns {
		p.report.Of(user).Wants("online")
	}
}

// gone wants a device to have been taken over.
func (p *play) gone(c *xmppclient.Client) {
	p.t.Helper()
	<-c.Closed()
	if e := c.StreamError(); e == nil || e.Ended == nil || e.Ended.Code != "takeover" {
		p.t.Errorf("%s got %v", c.JID(), e)
	}
}

func japanese(s string) bool {
	return strings.ContainsFunc(s, func(r rune) bool { return unicode.In(r, unicode.Hiragana) })
}
