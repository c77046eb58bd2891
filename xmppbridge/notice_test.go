package xmppbridge

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/bindgate/bindgate/gate"
)

func TestNotify(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		_, p, l := up(t, newFakeGate(), nil)
		src := gate.Source{Link: "main", Domain: "example.org"}
		for _, tt := range []struct {
			n    gate.Notice
			want string
		}{
			{
				gate.Notice{User: "a♥b", Resource: "lap'top/é", Device: "Pixel <8>", Platform: "android", At: since, Text: "別の端末で & <", Lang: "ja"},
				`<message type='headline' from='bindgate.example.org' to='a♥b@example.org/lap&apos;top/é'><body xml:lang='ja'>別の端末で &amp; &lt;</body><login xmlns='urn:bindgate:1' device='Pixel &lt;8&gt;' platform='android' at='2026-11-23T08:00:00Z'/></message>`,
			},
			{
				gate.Notice{User: "alice", Resource: "x"},
				`<message type='headline' from='bindgate.example.org' to='alice@example.org/x'><login xmlns='urn:bindgate:1'/></message>`,
			},
		} {
			if err := l.Notify(t.Context(), src, tt.n); err != nil {
				t.Fatal(err)
			}
			p.expect(tt.want)
		}
		for _, n := range []gate.Notice{{User: "alice"}, {Resource: "x"}, {User: "a@b", Resource: "x"}, {User: "alice", Resource: strings.Repeat("x", 1024)}, {User: "alice", Resource: "x", Text: strings.Repeat("x", maxSend)}} {
			if err := l.Notify(t.Context(), src, n); err == nil {
				t.Errorf("%.80v was sent", n)
			}
		}
		_ = p.conn.Close()
		synctest.Wait()
		if err := l.Notify(t.Context(), src, gate.Notice{User: "alice", Resource: "x"}); !errors.Is(err, ErrDown) {
			t.Errorf("on a connection that has ended: %v", err)
		}
	})
}

// A server that reads slowly is sent no notices, so that there is room for answers.
func TestNotifyLeavesRoom(t *testing.T) {
	t.Parallel()
	c := newConn(New(Config{Name: "main", Component: testComponent}, nil), &byteConn{}, nil)
	src := gate.Source{Link: "main", Domain: "example.org"}
	n := 0
	for ; n < queueSize; n++ {
		if err := c.Notify(t.Context(), src, gate.Notice{User: "alice", Resource: "x"}); err != nil {
			if !errors.Is(err, ErrBusy) {
				t.Fatal(err)
			}
			break
		}
	}
	if n != queueSize/2 {
		t.Errorf("%d notices were queued, want %d", n, queueSize/2)
	}
}
