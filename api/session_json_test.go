package api

import (
	"testing"
	"time"

	"github.com/bindgate/bindgate/store"
)

func TestSessionsAreWrittenAsTheirTypeSays(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 11, 23, 9, 8, 7, 123_456_000, time.FixedZone("", 3600))
	list := []store.ListedSession{
		{},
		{
			Key: store.KeyOf("a"), JID: "a♥b@example.org", Domain: "example.org", SID: "s", Generation: 9_007_199_254_740_993, Link: "main", Resource: "\"\\\x00\x1f\x7f<&>\u2028\xff\U0001F600", State: "ended",
			Device: -7, Identity: "certain", Platform: "web", IP: "2001:db8::1", Secure: true, Client: "tab\there", DecidedAt: now, StartedAt: now.Truncate(time.Second),
			LastSeenAt: now.Truncate(time.Minute), EndedAt: now, EndReason: "kick", StillPresent: true,
		},
	}
	shown := make([]session, len(list))
	for i, s := range list {
		shown[i] = showSession(s)
	}
	want, err := encode(shown)
	if err != nil {
		t.Fatal(err)
	}
	if got := string(appendSessions(nil, list)) + "\n"; got != string(want) {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}
