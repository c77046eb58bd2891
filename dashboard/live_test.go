package dashboard_test

import (
	"bufio"
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/dashboard"
)

// stream opens a live stream and returns a channel with the names of its events.
func (r *reader) stream(ctx context.Context, query string) <-chan string {
	r.k.t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, r.k.url+"/dashboard/live?"+query, nil)
	if err != nil {
		r.k.t.Fatal(err)
	}
	resp, err := r.http.Do(req)
	if err != nil {
		r.k.t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK {
		_ = resp.Body.Close()
		r.k.t.Fatalf("the stream is a %d", resp.StatusCode)
	}
	events := make(chan string, 16)
	go func() {
		defer close(events)
		defer resp.Body.Close()
		for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
			if name, ok := strings.CutPrefix(lines.Text(), "event: "); ok {
				events <- name
			}
		}
	}()
	return events
}

// A page is told that something has happened that its user may see, and of nothing else.
func TestLive(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	admin := k.as(dashboard.Admin)
	rules := admin.stream(ctx, "types=rule")
	limited := k.as(dashboard.Viewer, "example.net").stream(ctx, "types=rule,session")
	sessions := admin.stream(ctx, "types=session")
	for _, s := range []<-chan string{rules, limited, sessions} {
		if got := <-s; got != "alive" {
			t.Fatalf("the stream begins with %q", got)
		}
	}
	k.call(http.MethodPut, "/v1/domains/example.org/rule", `{"max_sessions":1}`, nil)
	if got := <-rules; got != "change" {
		t.Errorf("a rule has changed, and the page is told %q", got)
	}
	k.call(http.MethodPut, "/v1/domains/example.net/rule", `{"max_sessions":1}`, nil)
	if got := <-limited; got != "change" {
		t.Errorf("a rule of the user's domain has changed, and the page is told %q", got)
	}
	select {
	case got := <-sessions:
		if got == "change" {
			t.Error("a page about sessions is told of rules")
		}
	case got := <-limited:
		if got == "change" {
			t.Error("a page was told of another domain's rule")
		}
	default:
	}
	if got := k.nobody().get("/dashboard/live?types=session"); got.status != http.StatusNoContent {
		t.Errorf("nobody's stream is a %d, want 204, which browsers do not open again", got.status)
	}
}

// One user's streams leave room for those of others.
func TestStreamsOfOneUserAreBounded(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	many := k.as(dashboard.Viewer)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 64 {
		<-many.stream(ctx, "types=session")
	}
	many.get("/dashboard/live?types=session").ok(http.StatusTooManyRequests)
	if got := <-k.as(dashboard.Viewer).stream(ctx, "types=session"); got != "alive" {
		t.Errorf("another user's stream begins with %q", got)
	}
}
