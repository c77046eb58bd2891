package store_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

func TestListSessionsGoesOnBehindAPlace(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	for i := range 40 {
		key, jid := store.KeyOf(fmt.Sprintf("u%d@example.org", i%7)), fmt.Sprintf("u%d@example.org", i%7)
		if _, err := pool.Exec(t.Context(), `insert into accounts (key, jid, domain) values ($1, $2, 'example.org') on conflict do nothing`, key, jid); err != nil {
			t.Fatal(err)
		}
		sql := `insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, started_at, last_seen_at)
			values ($1, $2, $3, 'main', 'r', 'active', 'unknown', 'web', '', true, 'tcp', '', '', '', '', now(), now())`
		if i%2 == 1 {
			sql = `insert into session_history (account, sid, generation, ended_at, link, resource, identity, platform, ip, secure, transport, client, started_at, last_seen_at, end_reason)
				values ($1, $2, $3, now(), 'main', 'r', 'unknown', 'web', '', true, 'tcp', '', now(), now(), 'logout')`
		}
		if _, err := pool.Exec(t.Context(), sql, key, fmt.Sprintf("S%d", i), i+1); err != nil {
			t.Fatal(err)
		}
	}
	for _, state := range []string{"", store.StateEnded} {
		seen := map[string]bool{}
		f := store.SessionFilter{State: state, Limit: 3}
		for {
			page, err := st.ListSessions(t.Context(), f)
			if err != nil {
				t.Fatal(err)
			}
			for _, s := range page.Sessions {
				if seen[s.ID()] {
					t.Errorf("state %q: %s twice", state, s.ID())
				}
				seen[s.ID()] = true
				if found, err := st.FindSession(t.Context(), s.Key, s.Generation); err != nil || found.SID != s.SID || found.State != s.State {
					t.Errorf("FindSession: %+v, %v; want %+v", found, err, s)
				}
			}
			if page.Next == nil {
				break
			}
			f.After = *page.Next
		}
		if len(seen) != 20 {
			t.Errorf("state %q: %d sessions, want 20", state, len(seen))
		}
	}
	if _, err := st.FindSession(t.Context(), store.KeyOf("u0@example.org"), 999); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("FindSession of none: %v", err)
	}
	none, err := st.ListSessions(t.Context(), store.SessionFilter{Domains: []string{}, Limit: 10})
	if err != nil || len(none.Sessions) != 0 || none.Next != nil {
		t.Errorf("no domains: %+v, %v", none, err)
	}
}
