package adhoc_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/ejabberd"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock/adhoc"
)

// TestProsody lists and ends sessions of a stock Prosody, 0.12 and 13.0.
func TestProsody(t *testing.T) {
	t.Parallel()
	for name, binary := range map[string]string{"0.12": "", "13.0": prosody.Backport} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := stockProsody(t, prosody.Config{Binary: binary, Global: prosodyRights, Modules: []string{"admin_adhoc"}})
			if ended := administers(t, s, connect(t, s), adhoc.ByOnlineUsers, "Prosody"); ended != nil {
				t.Errorf("Prosody's end-user-session has the stream error %s; README says that it has none", ended)
			}
		})
	}
}

// TestProsodyForgedList has a client write lines of its own into Prosody's list of users. They make no session, and hide none.
func TestProsodyForgedList(t *testing.T) {
	t.Parallel()
	s := stockProsody(t, prosody.Config{Global: prosodyRights, Modules: []string{"admin_adhoc"}})
	admin, err := adhoc.Discover(t.Context(), connect(t, s), s.Domain())
	if err != nil {
		t.Fatal(err)
	}
	login(t, s, "ada", "phone")
	eve := login(t, s, "eve", "web")
	for _, forged := range []string{
		"away\nada@localhost/forged\n - forged: available(0), IP: [192.0.2.1]",
		"away\nada@localhost\n - forged: available(0), IP: [192.0.2.1]",
		"away\nada@localhost (2:phone, forged)",
		"away\nnobody@localhost\n - forged: available(0), IP: [192.0.2.1]\nada@localhost",
	} {
		if err := eve.SendRaw("<presence><show>" + forged + "</show></presence>"); err != nil {
			t.Fatal(err)
		}
		if _, err := eve.IQ(t.Context(), s.Domain(), "get", "<ping xmlns='urn:xmpp:ping'/>", ""); err != nil { // the presence has been handled
			t.Fatal(err)
		}
		for range 2 { // asked for, and remembered
			wantSessions(t, sessions(t, admin), adhoc.Session{User: "ada", Resource: "phone", Address: "127.0.0.1"}, adhoc.Session{User: "eve", Resource: "web", Address: "127.0.0.1"})
		}
	}
	login(t, s, "ada", "tablet")
	if found := sessions(t, admin); len(found) != 3 {
		t.Errorf("a login beside a forged line: %v", found)
	}
}

// TestEjabberd lists and ends sessions of a stock ejabberd.
func TestEjabberd(t *testing.T) {
	t.Parallel()
	s := stockEjabberd(t, ejabberd.Config{Hosts: []ejabberd.Host{{Modules: ejabberd.Administer + "\nmod_privilege: {presence: {managed_entity: [{allow: bindgate}]}}"}, {Domain: "plain.localhost"}}})
	stream := connect(t, s)
	refuses(t, s, stream, "plain.localhost", adhoc.ErrNoCommands)
	refuses(t, s, connectAs(t, s, "stranger.localhost"), s.Domain(), adhoc.ErrNoRight)
	ended := administers(t, s, stream, adhoc.ByDisco, "ejabberd")
	if ended == nil || ended.Condition != "policy-violation" {
		t.Errorf("ejabberd's end-user-session has the stream error %s; README says policy-violation", ended)
	}
	// More new accounts than are asked about for their address.
	const many = 110
	for i := range many {
		login(t, s, fmt.Sprint("u", i), "phone")
	}
	admin, err := adhoc.Discover(t.Context(), stream, s.Domain())
	if err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if found := sessions(t, admin); len(found) < many {
			t.Errorf("%d sessions are listed, more than %d are there", len(found), many)
		}
	}
}

// administers tries what an administrator does on a server, and returns the stream error that an ended session gets, nil if none.
func administers(t *testing.T, s server, stream xmppbridge.Stream, way adhoc.Way, software string) *xmppclient.StreamError {
	t.Helper()
	admin, err := adhoc.Discover(t.Context(), stream, s.Domain())
	if err != nil {
		t.Fatal(err)
	}
	if admin.Software() != software || admin.List() != way || admin.Explains() {
		t.Errorf("%s, by %s, explains %t", admin.Software(), admin.List(), admin.Explains())
	}
	const odd = `tab, (1:let)@x/y: <&'">`
	stays := login(t, s, "ada", "phone")
	goes := login(t, s, "ada", odd)
	login(t, s, "bob", "web")
	phone := adhoc.Session{User: "ada", Resource: "phone", Address: "127.0.0.1"}
	tablet := adhoc.Session{User: "ada", Resource: odd, Address: "127.0.0.1"}
	web := adhoc.Session{User: "bob", Resource: "web", Address: "127.0.0.1"}
	for range 2 { // the second time with what the first has taught: forms, addresses
		wantSessions(t, sessions(t, admin), phone, tablet, web)
		found, err := admin.SessionsOf(t.Context(), "ada")
		if err != nil || len(found) != 2 || !slices.Contains(found, tablet) {
			t.Errorf("sessions of an account: %v, %v", found, err)
		}
	}
	if err := admin.End(t.Context(), "ada", odd, "signed in elsewhere"); err != nil {
		t.Fatal(err)
	}
	ended, err := goes.WaitClosed(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	until(t, func() bool { return len(sessions(t, admin)) == 2 }, "the ended session is not listed any more")
	wantSessions(t, sessions(t, admin), phone, web)
	if stays.Err() != nil {
		t.Errorf("the account's other session has ended too: %v", stays.Err())
	}
	// The answer does not tell whether there was such a session.
	if err := admin.End(t.Context(), "ada", odd, ""); err != nil {
		t.Errorf("a session that is gone: %v", err)
	}
	if err := admin.End(t.Context(), "ada", "", ""); err == nil {
		t.Error("an account was ended instead of a session")
	}
	return ended
}

// TestProsodyWithoutRight has Prosodys that do not let the component administer them, or have nothing to be administered by.
func TestProsodyWithoutRight(t *testing.T) {
	t.Parallel()
	s := stockProsody(t, prosody.Config{Modules: []string{"admin_adhoc"}})
	refuses(t, s, connect(t, s), s.Domain(), adhoc.ErrNoRight)
	s = stockProsody(t, prosody.Config{Global: prosodyRights})
	refuses(t, s, connect(t, s), s.Domain(), adhoc.ErrNoCommands)
}

// refuses wants the driver to say why it cannot work with a domain.
func refuses(t *testing.T, s server, stream xmppbridge.Stream, domain string, is error) {
	t.Helper()
	_, err := adhoc.New(s.ComponentJID()).Open(t.Context(), stream, []string{domain})
	if !errors.Is(err, is) || !strings.HasPrefix(err.Error(), domain+": ") {
		t.Errorf("%s: %v, want %v", domain, err, is)
	}
}

// TestAbilities has in words what a kick is.
func TestAbilities(t *testing.T) {
	t.Parallel()
	s := stockProsody(t, prosody.Config{Global: prosodyRights, Modules: []string{"admin_adhoc"}})
	server, err := adhoc.New(s.ComponentJID()).Open(t.Context(), connect(t, s), []string{s.Domain()})
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct {
		name, word string
		can        bool
	}{{"kick", "end-user-session", true}, {"conflict", "without any stream error", false}, {"text", "takes no reason", false}, {"snapshot", "user-stats", true}} {
		i := slices.IndexFunc(server.Able, func(a gate.Ability) bool { return a.Name == want.name })
		if i < 0 || server.Able[i].Can != want.can || !strings.Contains(server.Able[i].Why, want.word) {
			t.Errorf("%s: %+v", want.name, server.Able)
		}
	}
}

// until waits for something to be so.
func until(t *testing.T, so func() bool, what string) {
	t.Helper()
	poll := time.NewTicker(10 * time.Millisecond)
	defer poll.Stop()
	for end := time.Now().Add(patience); !so(); <-poll.C {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", patience, what)
		}
	}
}
