package store_test

import (
	"fmt"
	"testing"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// Every list, read page by page, has each session that fits once, also where a page looks at more than it has, and while others come and go.
func TestListsAreComplete(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	exec := func(sql string) {
		t.Helper()
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
	exec(`insert into accounts (key, jid, domain) select substr(encode(sha256(convert_to(jid, 'UTF8')), 'hex'), 1, 32)::uuid, jid, split_part(jid, '@', 2)
		from (select 'u' || n || '@d' || n % 3 || '.example' as jid from generate_series(1, 3000) n) j`)
	exec(`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, started_at, last_seen_at)
		select key, 's' || g, g, 'main', 'r' || g, case when abs(hashtext(jid)) % 50 = 0 and g = 1 then 'binding' when g = 2 then 'hibernating' else 'active' end, 'unknown',
			case when abs(hashtext(jid)) % 500 = 1 then 'bot' else 'web' end, '', true, 'tcp', '', '', '', '', now(), now() from accounts, generate_series(1, 2) g`)
	exec(`update sessions set evict_code = 'kick', evict_next = case when state = 'active' then now() end where abs(hashtext(account::text)) % 40 = 3 and state <> 'binding'
		and (state = 'active' or account in (select account from sessions where state = 'binding'))`)
	exec(`insert into session_history (account, sid, generation, ended_at, link, resource, identity, platform, ip, secure, transport, client, started_at, last_seen_at, end_reason)
		select account, 'x' || sid, generation + 10, now() - generation * interval '1 hour', link, resource, identity, platform, '', true, 'tcp', '', now(), now(), 'logout' from sessions`)
	const one = "u7@d1.example"
	extra := 0
	for name, c := range map[string]struct {
		filter store.SessionFilter
		where  string
	}{
		"all":                {store.SessionFilter{}, "true"},
		"bots":               {store.SessionFilter{Platforms: []string{"bot"}}, "platform = 'bot'"},
		"nothing":            {store.SessionFilter{Platforms: []string{"fridge"}}, "false"},
		"a domain":           {store.SessionFilter{Domains: []string{"d1.example"}}, "domain = 'd1.example'"},
		"domains":            {store.SessionFilter{Domains: []string{"d2.example", "none.example", "d0.example", "d2.example"}}, "domain in ('d0.example', 'd2.example')"},
		"bots of a domain":   {store.SessionFilter{Domains: []string{"d1.example"}, Platforms: []string{"bot"}}, "domain = 'd1.example' and platform = 'bot'"},
		"binding":            {store.SessionFilter{State: "binding"}, "state = 'binding' and evict_code is null"},
		"hibernating":        {store.SessionFilter{State: "hibernating"}, "state = 'hibernating' and evict_code is null"},
		"hibernating bots":   {store.SessionFilter{State: "hibernating", Platforms: []string{"bot"}}, "state = 'hibernating' and evict_code is null and platform = 'bot'"},
		"evicting":           {store.SessionFilter{State: store.StateEvicting}, "evict_code is not null"},
		"evicting, a domain": {store.SessionFilter{State: store.StateEvicting, Domains: []string{"d1.example"}}, "evict_code is not null and domain = 'd1.example'"},
		"q":                  {store.SessionFilter{Text: "U1"}, "jid like '%u1%'"},
		"q in the middle":    {store.SessionFilter{Text: "/R2"}, "resource like 'r2%'"},
		"q of a domain":      {store.SessionFilter{Text: "1@d", Domains: []string{"d1.example"}}, "jid like '%1@d1.example'"},
		"q of domains":       {store.SessionFilter{Text: "u2", Domains: []string{"d1.example", "d2.example"}}, "jid like '%u2%' and domain <> 'd0.example'"},
		"q, hibernating":     {store.SessionFilter{Text: "7", State: "hibernating"}, "(jid like '%7%' or resource like '%7%') and state = 'hibernating' and evict_code is null"},
		"q, evicting":        {store.SessionFilter{Text: "1", State: store.StateEvicting}, "(jid like '%1%' or resource like '%1%') and evict_code is not null"},
		"q of bots":          {store.SessionFilter{Text: "u", Platforms: []string{"bot"}, Domains: []string{"d0.example", "d1.example"}}, "platform = 'bot' and domain <> 'd2.example'"},
		"q of an account":    {store.SessionFilter{Account: one, Text: "u7"}, "jid = 'u7@d1.example'"},
		"a full JID":         {store.SessionFilter{Account: one, Resource: "r2"}, "jid = 'u7@d1.example' and resource = 'r2'"},
		"another account":    {store.SessionFilter{Account: one, Text: "u8"}, "false"},
	} {
		for _, past := range []bool{false, true} {
			f, table := c.filter, "sessions"
			if past {
				if f.State != "" {
					continue
				}
				f.State, table = store.StateEnded, "session_history"
			}
			var want int
			if err := pool.QueryRow(t.Context(), "select count(*) from "+table+" join accounts on key = account where "+c.where+" and resource <> 'late'").Scan(&want); err != nil {
				t.Fatal(err)
			}
			seen := map[string]bool{}
			got, pages := 0, 0
			for f.Limit = 97; ; pages++ {
				page, err := st.ListSessions(t.Context(), f)
				if err != nil {
					t.Fatalf("%s: %v", name, err)
				}
				if len(page.Sessions) > f.Limit || pages > 200 {
					t.Fatalf("%s: page %d has %d sessions", name, pages, len(page.Sessions))
				}
				for _, s := range page.Sessions {
					id := fmt.Sprint(s.ID(), s.State == store.StateEnded)
					if seen[id] {
						t.Errorf("%s: %s/%s twice", name, s.JID, s.Resource)
					}
					if seen[id] = true; s.Resource != "late" {
						got++
					}
				}
				if page.Next == nil {
					break
				}
				f.After = *page.Next
				extra++
				exec(fmt.Sprintf(`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, started_at, last_seen_at)
					select key, 'late%d', 100 + %[1]d, 'main', 'late', 'active', 'unknown', 'bot', '', true, 'tcp', '', '', '', '', now(), now() from accounts order by key offset %d limit 1`, extra, extra*37%3000))
			}
			if got != want {
				t.Errorf("%s (ended: %t): %d sessions on %d pages, want %d", name, past, got, pages+1, want)
			}
		}
	}
}
