package xmppclient_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

func TestClient(t *testing.T) {
	t.Parallel()
	server := prosody.ForTest(t, prosody.Config{WithoutGate: true})
	for _, transport := range []xmppclient.Transport{xmppclient.TCP, xmppclient.WebSocket, xmppclient.BOSH} {
		t.Run(transport.String(), func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
			defer cancel()
			dial := func() *xmppclient.Client {
				t.Helper()
				o := xmppclient.Options{Transport: transport, Addr: server.C2S, Domain: "localhost", User: "u" + transport.String(), Lang: "ja"}
				switch transport {
				case xmppclient.WebSocket:
					o.URL = server.WebSocketURL()
				case xmppclient.BOSH:
					o.URL = server.BOSHURL()
				}
				c, err := xmppclient.Dial(ctx, o)
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(c.Cut)
				return c
			}
			a, b := dial(), dial()
			if r, err := a.Bind(ctx, "a"); err != nil || r.Resource != "a" {
				t.Fatalf("bind: %+v, %v", r, err)
			}
			if _, err := b.Bind(ctx, ""); err != nil {
				t.Fatal(err)
			}
			if err := b.SendPresence(0); err != nil {
				t.Fatal(err)
			}
			if err := a.SendMessage(b.JID(), "hello & <you>"); err != nil {
				t.Fatal(err)
			}
			m, err := b.Expect(ctx, func(s *xmppclient.Stanza) bool { return s.Name.Local == "message" })
			if err != nil || m.Child("", "body").Text != "hello & <you>" {
				t.Fatalf("message: %+v, %v", m, err)
			}
			if err := a.EnableSM(ctx, true); err != nil {
				t.Fatal(err)
			}
			// The same resource again: the first gets a stream error.
			c := dial()
			if _, err := c.Bind(ctx, "a"); err != nil {
				t.Fatal(err)
			}
			e, err := a.WaitClosed(ctx)
			if err != nil || e == nil || e.Condition != "conflict" {
				t.Fatalf("stream error: %+v, %v", e, err)
			}
			if transport != xmppclient.BOSH {
				var refused *xmppclient.ResumeError
				if err := dial().Resume(ctx, a.SMID(), 0); !errors.As(err, &refused) || refused.Condition != "item-not-found" {
					t.Fatalf("resume: %v", err)
				}
				if err := c.EnableSM(ctx, true); err != nil {
					t.Fatal(err)
				}
				c.Cut()
				again := dial()
				if err := again.Resume(ctx, c.SMID(), c.Handled()); err != nil {
					t.Fatal(err)
				}
			}
			b.Close()
			if b.Err() == nil {
				t.Fatal("closed without an end")
			}
		})
	}
}
