package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/gate"
)

var source = gate.Source{Link: "main", Domain: "example.org"}

func TestLink(t *testing.T) {
	t.Parallel()
	kick := func(ctx context.Context, l gate.Link) (any, error) {
		return l.Kick(ctx, source, gate.Kick{User: "a♥b", SID: "S1", Resource: "r&1", Code: "kick", At: time.Date(2026, 11, 23, 17, 0, 0, 0, time.FixedZone("", 9*3600)), Text: "さようなら", Lang: "ja"})
	}
	const kickXML = `<iq type='set' id='bg-1' from='bindgate.example.org' to='example.org'><kick xmlns='urn:bindgate:1' user='a♥b' sid='S1' resource='r&amp;1' code='kick' at='2026-11-23T08:00:00Z'><text xml:lang='ja'>さようなら</text></kick></iq>`
	probe := func(ctx context.Context, l gate.Link) (any, error) {
		return l.Probe(ctx, source, "alice", []string{"S1", "S2"}, 2*time.Second)
	}
	const probeXML = `<iq type='get' id='bg-1' from='bindgate.example.org' to='example.org'><probe xmlns='urn:bindgate:1' timeout_ms='2000'><session user='alice' sid='S1'/><session user='alice' sid='S2'/></probe></iq>`
	snapshot := func(ctx context.Context, l gate.Link) (any, error) {
		return l.Snapshot(ctx, source, 64, 64, "1-0f3a5c7781aa")
	}
	const snapshotXML = `<iq type='get' id='bg-1' from='bindgate.example.org' to='example.org'><snapshot xmlns='urn:bindgate:1' first='64' count='64' digest='1-0f3a5c7781aa'/></iq>`
	mode := func(ctx context.Context, l gate.Link) (any, error) {
		return nil, l.SetMode(ctx, source, "observe")
	}
	const modeXML = `<iq type='set' id='bg-1' from='bindgate.example.org' to='example.org'><mode xmlns='urn:bindgate:1' value='observe'/></iq>`

	revoke := func(ctx context.Context, l gate.Link) (any, error) {
		return l.Revoke(ctx, source, "a♥b", []string{"d4&5", "e6"}, true)
	}
	const revokeXML = `<iq type='set' id='bg-1' from='bindgate.example.org' to='example.org'><revoke xmlns='urn:bindgate:1' user='a♥b' others='1'><device client_id='d4&amp;5'/><device client_id='e6'/></revoke></iq>`
	revokeAll := func(ctx context.Context, l gate.Link) (any, error) { return l.Revoke(ctx, source, "alice", nil, false) }
	const revokeAllXML = `<iq type='set' id='bg-1' from='bindgate.example.org' to='example.org'><revoke xmlns='urn:bindgate:1' user='alice'></revoke></iq>`

	tests := []struct {
		name    string
		call    func(context.Context, gate.Link) (any, error)
		request string
		kind    string
		answer  string
		want    any
		err     string
	}{
		{"kick", kick, kickXML, "result", ``, gate.KickDone, ""},
		{"kick pending", kick, kickXML, "result", `<kick xmlns='urn:bindgate:1' pending='1'/>`, gate.KickPending, ""},
		{"kick gone", kick, kickXML, "error", `<error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`, gate.KickGone, ""},
		{"kick refused", kick, kickXML, "error", `<error type='cancel'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/><text xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'>no</text></error>`, gate.KickResult(""), "kick: the server answered forbidden: no"},
		{"an error without an error", kick, kickXML, "error", ``, gate.KickResult(""), "kick: the server answered undefined-condition"},
		{
			"probe", probe, probeXML, "result",
			`<probe xmlns='urn:bindgate:1'><session sid='S2' verdict='gone'/><session sid='S1' verdict='alive'/><session sid='S9' verdict='alive'/></probe>`,
			map[string]gate.Verdict{"S1": gate.VerdictAlive, "S2": gate.VerdictGone},
			"",
		},
		{"probe without a verdict", probe, probeXML, "result", `<probe xmlns='urn:bindgate:1'><session sid='S1' verdict='alive'/></probe>`, map[string]gate.Verdict(nil), "probe: no verdict for session S2"},
		{"probe with a verdict that is none", probe, probeXML, "result", `<probe xmlns='urn:bindgate:1'><session sid='S1' verdict='well'/></probe>`, map[string]gate.Verdict(nil), `probe: session: attribute "verdict" is "well", not one of alive, silent, hibernating, gone`},
		{"probe without an answer", probe, probeXML, "result", ``, map[string]gate.Verdict(nil), "probe: the answer holds no <probe/>"},
		{
			"snapshot", snapshot, snapshotXML, "result",
			`<snapshot xmlns='urn:bindgate:1' first='64' count='40' total='15000' epoch='E1' seq='42'><session user='alice' sid='S1' resource='lap' state='hibernating' age_seconds='3600' idle_seconds='12' ip='192.0.2.9' secure='1' transport='websocket' client_id='c' client='Conversations' lang='en'/></snapshot>`,
			gate.Part{Source: source, First: 64, Count: 40, Total: 15000, Epoch: "E1", Seq: 42, Sessions: []gate.Listed{{
				SID: "S1", User: "alice", Resource: "lap", State: "hibernating", Age: time.Hour, Idle: 12 * time.Second,
				Peer: gate.Peer{IP: "192.0.2.9", Secure: true, Transport: "websocket", ClientID: "c", Client: "Conversations", Lang: "en"},
			}}},
			"",
		},
		{"snapshot that is the same", snapshot, snapshotXML, "result", `<snapshot xmlns='urn:bindgate:1' first='64' count='64' total='1' epoch='E1' seq='42' same='1'/>`, gate.Part{Source: source, First: 64, Count: 64, Total: 1, Epoch: "E1", Seq: 42, Same: true}, ""},
		{"snapshot of other buckets", snapshot, snapshotXML, "result", `<snapshot xmlns='urn:bindgate:1' first='0' count='64' total='1' epoch='E1' seq='42'/>`, nil, `snapshot: attribute "first" is "0", not a whole number from 64 to 64`},
		{"snapshot of nothing", snapshot, snapshotXML, "result", `<snapshot xmlns='urn:bindgate:1' first='64' count='0' total='1' epoch='E1' seq='42'/>`, nil, `snapshot: attribute "count" is "0", not a whole number from 1 to 64`},
		{"snapshot of nobody's session", snapshot, snapshotXML, "result", `<snapshot xmlns='urn:bindgate:1' first='64' count='1' total='1' epoch='E1' seq='42'><session sid='S1' resource='r' state='active'/></snapshot>`, nil, `snapshot: session 1: attribute "user" is missing`},
		{"snapshot too large", snapshot, snapshotXML, "result", `<snapshot xmlns='urn:bindgate:1'>` + strings.Repeat("<session sid='S1'/>", 1<<18) + `</snapshot>`, nil, "snapshot: the server's answer is too large: larger than 4194304 bytes"},
		{"mode", mode, modeXML, "result", ``, nil, ""},
		{
			"revoke", revoke, revokeXML, "result",
			`<revoke xmlns='urn:bindgate:1' epoch='E1' seq='42'><revoked kind='fast' count='2'/><new xmlns='urn:bindgate:1'/><unable kind='tokenauth' why='they name no device'/><session sid='S1' resource='lap' state='active'/></revoke>`,
			gate.Revocation{
				Revoked: map[string]int{"fast": 2}, Unable: map[string]string{"tokenauth": "they name no device"}, Epoch: "E1", Seq: 42,
				Sessions: []gate.Listed{{SID: "S1", Resource: "lap", State: "active"}},
			},
			"",
		},
		{"revoke with nothing to revoke", revokeAll, revokeAllXML, "result", `<revoke xmlns='urn:bindgate:1' epoch='E1' seq='0' more='1'/>`, gate.Revocation{Revoked: map[string]int{}, Unable: map[string]string{}, Epoch: "E1", More: true}, ""},
		{"revoke of a kind that is none", revokeAll, revokeAllXML, "result", `<revoke xmlns='urn:bindgate:1' epoch='E1' seq='0'><revoked count='1'/></revoke>`, gate.Revocation{}, `revoke: revoked: attribute "kind" is missing`},
		{"revoke of a count that is none", revokeAll, revokeAllXML, "result", `<revoke xmlns='urn:bindgate:1' epoch='E1' seq='0'><revoked kind='fast' count='many'/></revoke>`, gate.Revocation{}, `revoke: revoked: attribute "count" is "many", not a whole number from 0 to 2147483647`},
		{"revoke without an epoch", revokeAll, revokeAllXML, "result", `<revoke xmlns='urn:bindgate:1' seq='0'/>`, gate.Revocation{}, `revoke: attribute "epoch" is missing`},
		{"revoke refused", revokeAll, revokeAllXML, "error", `<error type='wait'><internal-server-error xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`, gate.Revocation{}, "revoke: the server answered internal-server-error"},
		{"mode refused", mode, modeXML, "error", `<error type='modify'><bad-request xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>`, nil, "mode: the server answered bad-request"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, p, link := up(t, newFakeGate(), nil)
				go func() {
					if got := p.answer(tt.kind, tt.answer); got != tt.request {
						t.Errorf("request\n got %s\nwant %s", got, tt.request)
					}
				}()
				got, err := tt.call(t.Context(), link)
				if text := fmt.Sprint(err); tt.err != "" && text != tt.err || tt.err == "" && err != nil {
					t.Fatalf("error\n got %s\nwant %s", text, tt.err)
				}
				if part, ok := got.(gate.Part); ok && err != nil {
					got = nil
					_ = part
				}
				if diff := cmp.Diff(tt.want, got); diff != "" {
					t.Errorf("-want +got\n%s", diff)
				}
			})
		})
	}
}

func TestLinkArguments(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, link := up(t, newFakeGate(), nil)
		ctx := t.Context()
		cancelled, cancel := context.WithCancel(ctx)
		cancel()
		for name, call := range map[string]func() error{
			"no session to probe": func() error { _, err := link.Probe(ctx, source, "a", nil, time.Second); return err },
			"51 sessions to probe": func() error {
				_, err := link.Probe(ctx, source, "a", make([]string, 51), time.Second)
				return err
			},
			"bucket 4096":        func() error { _, err := link.Snapshot(ctx, source, 4096, 1, ""); return err },
			"4097 buckets":       func() error { _, err := link.Snapshot(ctx, source, 0, 4097, ""); return err },
			"no bucket":          func() error { _, err := link.Snapshot(ctx, source, 0, 0, ""); return err },
			"a mode that is not": func() error { return link.SetMode(ctx, source, "shout") },
			"not a domain":       func() error { return link.SetMode(ctx, gate.Source{Domain: "a@b"}, "off") },
			"ended ctx":          func() error { return link.SetMode(cancelled, source, "off") },
			"a huge text": func() error {
				_, err := link.Kick(ctx, source, gate.Kick{SID: "S", Text: strings.Repeat("<", 100_000)})
				return err
			},
		} {
			if call() == nil {
				t.Errorf("%s: no error", name)
			}
		}
		synctest.Wait()
		if len(p.got) > 0 {
			t.Errorf("something was sent: %s", p.recv())
		}
	})
}

// TestAnswerOfAnother has an answer with the right id from the wrong sender.
func TestAnswerOfAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, link := up(t, newFakeGate(), nil)
		go func() {
			s, _ := p.recvRaw()
			h, _ := parseHead([]byte(s))
			for _, from := range []string{"example.net", "alice@example.org", ""} {
				p.send(fmt.Sprintf(`<iq type='error' id='%s' from='%s'><error type='cancel'><item-not-found xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error></iq>`, h.id, from))
			}
			p.send(fmt.Sprintf(`<iq type='result' id='%s' from='example.org'/><iq type='result' id='%s' from='example.org'/>`, h.id, h.id))
		}()
		got, err := link.Kick(t.Context(), source, gate.Kick{User: "alice", SID: "S1"})
		if got != gate.KickDone || err != nil {
			t.Errorf("Kick = %s, %v", got, err)
		}
	})
}

func TestDeadlineOfRequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, p, link := up(t, newFakeGate(), nil)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		begin := time.Now()
		_, err := link.Kick(ctx, source, gate.Kick{User: "alice", SID: "S1"})
		if !errors.Is(err, context.DeadlineExceeded) || time.Since(begin) != 2*time.Second {
			t.Errorf("after %s: %v", time.Since(begin), err)
		}
		p.answer("result", "")
		synctest.Wait()
		if s := b.Stats(); s.Timeouts != 1 || s.Strays != 1 {
			t.Errorf("Timeouts = %d, Strays = %d, want 1 and 1", s.Timeouts, s.Strays)
		}
	})
}

// TestConnectionLost has callers waiting when the connection ends, and one who comes later.
func TestConnectionLost(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, link := up(t, newFakeGate(), nil)
		errs := make(chan error)
		for range 10 {
			go func() { errs <- link.SetMode(t.Context(), source, "off") }()
		}
		for range 10 {
			p.recv()
		}
		begin := time.Now()
		_ = p.conn.Close()
		for range 10 {
			if err := <-errs; !errors.Is(err, ErrDown) {
				t.Errorf("error %v, want ErrDown", err)
			}
		}
		if err := link.SetMode(t.Context(), source, "off"); !errors.Is(err, ErrDown) {
			t.Errorf("after the end: error %v, want ErrDown", err)
		}
		if d := time.Since(begin); d > 0 {
			t.Errorf("took %s", d)
		}
	})
}

// TestModuleLoadedAnew: what the module was asked before is lost, and who waits for it learns that at once. Another hello of the same load changes nothing.
func TestModuleLoadedAnew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := newFakeGate()
		_, srv, link := up(t, g, nil)
		ended := make(chan error, 1)
		go func() {
			_, err := link.Kick(t.Context(), source, gate.Kick{User: "alice", SID: "S1"})
			ended <- err
		}()
		if _, ok := srv.recvRaw(); !ok {
			t.Fatal("no kick was sent")
		}
		srv.send(helloXML)
		g.expect(t, "hello example.org version 1 epoch E1 seq 0")
		srv.expect(helloAnswerXML)
		select {
		case err := <-ended:
			t.Fatalf("a kick ended by a hello of the same load: %v", err)
		default:
		}
		began := time.Now()
		srv.send(strings.Replace(helloXML, "'E1'", "'E2'", 1))
		g.expect(t, "hello example.org version 1 epoch E2 seq 0")
		if err := <-ended; !errors.Is(err, ErrReloaded) || time.Since(began) > 0 {
			t.Errorf("a kick that the module forgot: %v, after %s", err, time.Since(began))
		}
		srv.expect(helloAnswerXML)
	})
}
