package api_test

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

// probe is one request of a token that is limited to ours.example, about what belongs to theirs.example.
//
// It is made with each word in braces replaced three times: by what is there, by the like of it in the same domain that is not there, and by the like of it
// in a domain that is not there. The three answers have to be the same to the byte, and must neither hold anything of theirs nor change anything.
// Then an unlimited token makes it about what is there, and has to get another answer: there was something to hide.
//
//	{jid} {session} {device} {kick} {grant} {domain} {group} {webhook} {delivery}
//
// {own} and {mine} are always there: an account of ours.example, and its session.
type probe struct {
	path, body string
	status     int    // of the limited token's answer
	same       string // why an unlimited token gets the same answer; "": it does not
	echoes     string // the word whose thing the answer repeats, as it was asked for; "": none
}

// isolated has every route that takes a token. A new route needs a probe for each way to name something: in its path, its query, its body. A list needs one that
// reads all of it: theirs must not be in it.
var isolated = map[string][]probe{
	"GET /v1/sessions": {
		{path: "/v1/sessions", status: 200}, {path: "/v1/sessions?state=ended", status: 200}, {path: "/v1/sessions?domain={domain}", status: 200},
		{path: "/v1/sessions?account={jid}", status: 200}, {path: "/v1/sessions?q=bob", status: 200}, {path: "/v1/sessions?q={jid}/phone", status: 200},
	},
	"GET /v1/sessions/{id}":         {{path: "/v1/sessions/{session}", status: 404}},
	"DELETE /v1/sessions/{id}":      {{path: "/v1/sessions/{session}", status: 404}},
	"GET /v1/accounts/{jid}":        {{path: "/v1/accounts/{jid}", status: 404}},
	"DELETE /v1/accounts/{jid}":     {{path: "/v1/accounts/{jid}", status: 404}},
	"GET /v1/accounts/{jid}/export": {{path: "/v1/accounts/{jid}/export", status: 404}},
	"GET /v1/audit":                 {{path: "/v1/audit", status: 200}, {path: "/v1/audit?account={jid}", status: 200}, {path: "/v1/audit?domain={domain}", status: 200}},
	"GET /v1/accounts/{jid}/sessions": {{path: "/v1/accounts/{jid}/sessions", status: 404}, {path: "/v1/accounts/{jid}/sessions?state=nonsense", status: 404},
		{path: "/v1/accounts/{own}/sessions?q={jid}/phone", status: 200, same: "it is another account's"}},
	"GET /v1/accounts/{jid}/decisions":       {{path: "/v1/accounts/{jid}/decisions", status: 404}},
	"GET /v1/accounts/{jid}/devices":         {{path: "/v1/accounts/{jid}/devices", status: 404}},
	"POST /v1/accounts/{jid}/devices":        {{path: "/v1/accounts/{jid}/devices", body: `{"resource":"new"}`, status: 404}},
	"GET /v1/accounts/{jid}/devices/{id}":    {{path: "/v1/accounts/{jid}/devices/{device}", status: 404}, {path: "/v1/accounts/{own}/devices/{device}", status: 404, same: "it is another account's"}},
	"PATCH /v1/accounts/{jid}/devices/{id}":  {{path: "/v1/accounts/{jid}/devices/{device}", body: `{"blocked":true}`, status: 404}},
	"DELETE /v1/accounts/{jid}/devices/{id}": {{path: "/v1/accounts/{jid}/devices/{device}", status: 404}},
	"POST /v1/accounts/{jid}/kick": {
		{path: "/v1/accounts/{jid}/kick", body: `{"all":true}`, status: 404}, {path: "/v1/accounts/{jid}/kick", body: `{"nonsense":1}`, status: 404},
		{path: "/v1/accounts/{own}/kick", body: `{"session_ids":["{session}"]}`, status: 422, same: "it is another account's"},
		{path: "/v1/accounts/{own}/kick", body: `{"device_ids":["{device}"]}`, status: 422, same: "it is another account's"},
		{path: "/v1/accounts/{own}/kick", body: `{"except_session_id":"{session}"}`, status: 422, same: "it is another account's"},
	},
	"POST /v1/accounts/{jid}/verify": {
		{path: "/v1/accounts/{jid}/verify", body: `{"session_id":"{session}"}`, status: 404}, {path: "/v1/accounts/{jid}/verify", body: `{"resource":"phone"}`, status: 404},
		{path: "/v1/accounts/{own}/verify", body: `{"session_id":"{session}"}`, status: 422, same: "it is another account's"},
	},
	"POST /v1/accounts/{jid}/grants": {
		{path: "/v1/accounts/{jid}/grants", body: `{}`, status: 404},
		{path: "/v1/accounts/{own}/grants", body: `{"device_id":"{device}"}`, status: 422, same: "it is another account's"},
	},
	"GET /v1/accounts/{jid}/protection":    {{path: "/v1/accounts/{jid}/protection", status: 404}},
	"DELETE /v1/accounts/{jid}/protection": {{path: "/v1/accounts/{jid}/protection", status: 404}},
	"GET /v1/decisions": {
		{path: "/v1/decisions", status: 200}, {path: "/v1/decisions?domain={domain}", status: 200}, {path: "/v1/decisions?outcome=allow", status: 200},
	},
	"GET /v1/loops": {{path: "/v1/loops", status: 200}, {path: "/v1/loops?account={jid}", status: 200}},
	"POST /v1/decisions/evaluate": {
		{path: "/v1/decisions/evaluate", body: `{"account":"{jid}"}`, status: 404},
		{path: "/v1/decisions/evaluate", body: `{"account":"{own}","device_id":"{device}"}`, status: 422, same: "it is another account's"},
		{path: "/v1/decisions/evaluate", body: `{"account":"{own}","grant":"{grant}"}`, status: 422, same: "it is another account's"},
	},
	"GET /v1/accounts/{jid}/rule":           {{path: "/v1/accounts/{jid}/rule", status: 404}},
	"PUT /v1/accounts/{jid}/rule":           {{path: "/v1/accounts/{jid}/rule?apply=now", body: `{"max_sessions":1}`, status: 404}},
	"DELETE /v1/accounts/{jid}/rule":        {{path: "/v1/accounts/{jid}/rule", status: 404}},
	"GET /v1/accounts/{jid}/rule/effective": {{path: "/v1/accounts/{jid}/rule/effective", status: 404}},
	"PUT /v1/accounts/{jid}/group": {
		{path: "/v1/accounts/{jid}/group", body: `{"group":"shared"}`, status: 404}, {path: "/v1/accounts/{jid}/group", body: `{"group":null}`, status: 404},
		{path: "/v1/accounts/{own}/group", body: `{"group":"{group}"}`, status: 404},
	},
	"GET /v1/groups": {{path: "/v1/groups", status: 200}},
	"GET /v1/groups/{group}/members": {
		{path: "/v1/groups/{group}/members", status: 404}, {path: "/v1/groups/shared/members", status: 200},
	},
	"POST /v1/groups/{group}/members": {
		{path: "/v1/groups/{group}/members", body: `{"remove":["{own}"]}`, status: 404}, {path: "/v1/groups/{group}/members", body: `{"add":["{own}"]}`, status: 404},
		{path: "/v1/groups/shared/members", body: `{"add":["{jid}"]}`, status: 404}, {path: "/v1/groups/shared/members", body: `{"remove":["{jid}"]}`, status: 404},
	},
	"GET /v1/groups/{group}/rule": {{path: "/v1/groups/{group}/rule", status: 404}, {path: "/v1/groups/shared/rule", status: 200, same: "it holds for members of ours, too"}},
	"PUT /v1/groups/{group}/rule": {
		{path: "/v1/groups/{group}/rule?apply=now", body: `{"max_sessions":1}`, status: 404}, {path: "/v1/groups/shared/rule?apply=now", body: `{"max_sessions":1}`, status: 403},
	},
	"DELETE /v1/groups/{group}/rule":   {{path: "/v1/groups/{group}/rule", status: 404}, {path: "/v1/groups/shared/rule", status: 403}},
	"GET /v1/domains":                  {{path: "/v1/domains", status: 200}},
	"GET /v1/domains/{domain}/rule":    {{path: "/v1/domains/{domain}/rule", status: 404}},
	"PUT /v1/domains/{domain}/rule":    {{path: "/v1/domains/{domain}/rule?apply=now", body: `{"max_sessions":1}`, status: 404}},
	"DELETE /v1/domains/{domain}/rule": {{path: "/v1/domains/{domain}/rule", status: 404}},
	"GET /v1/rules":                    {{path: "/v1/rules", status: 200}, {path: "/v1/rules?q={jid}", status: 200}, {path: "/v1/rules?level=group&q={group}", status: 200}},
	"GET /v1/rules/default":            {{path: "/v1/rules/default", status: 200, same: "it holds for all domains, ours too"}},
	"PUT /v1/rules/default":            {{path: "/v1/rules/default?apply=now", body: `{"max_sessions":1}`, status: 403}},
	"DELETE /v1/rules/default":         {{path: "/v1/rules/default", status: 403}},
	"POST /v1/rules/preview": {
		{path: "/v1/rules/preview", body: `{"level":"account","subject":"{jid}","rule":{"max_sessions":1}}`, status: 404},
		{path: "/v1/rules/preview", body: `{"level":"domain","subject":"{domain}","rule":{"max_sessions":1}}`, status: 404},
		{path: "/v1/rules/preview", body: `{"level":"group","subject":"{group}","rule":{"max_sessions":1}}`, status: 404},
		{path: "/v1/rules/preview", body: `{"level":"group","subject":"shared","rule":{"max_sessions":1}}`, status: 200},
		{path: "/v1/rules/preview", body: `{"level":"default","rule":{"max_sessions":1}}`, status: 200},
	},
	"POST /v1/sessions/lookup":   {{path: "/v1/sessions/lookup", body: `{"accounts":["{jid}"]}`, status: 200, echoes: "{jid}"}},
	"PATCH /v1/accounts/{jid}":   {{path: "/v1/accounts/{jid}", body: `{"lang":"ja"}`, status: 404}},
	"PATCH /v1/domains/{domain}": {{path: "/v1/domains/{domain}", body: `{"lang":"ja"}`, status: 404}},
	"GET /v1/stats":              {{path: "/v1/stats", status: 200}},
	"GET /v1/kicks":              {{path: "/v1/kicks", status: 200}},
	"POST /v1/kicks":             {{path: "/v1/kicks", body: `{"filter":{"domain":"{domain}"}}`, status: 404}},
	"POST /v1/kicks/preview": {
		{path: "/v1/kicks/preview", body: `{"filter":{"domain":"{domain}"}}`, status: 404},
		{path: "/v1/kicks/preview", body: `{"filter":{"group":"{group}"}}`, status: 404}, {path: "/v1/kicks/preview", body: `{"filter":{"all":true}}`, status: 200},
	},
	"GET /v1/stats/history": {
		{path: "/v1/stats/history?since=2099-11-01T10:00:00Z&until=2099-11-01T10:03:00Z", status: 200},
		{path: "/v1/stats/history?since=2099-11-01T10:00:00Z&until=2099-11-01T10:03:00Z&domain={domain}", status: 200, echoes: "{domain}"},
	},
	"GET /v1/kicks/{id}":      {{path: "/v1/kicks/{kick}", status: 404}},
	"DELETE /v1/kicks/{id}":   {{path: "/v1/kicks/{kick}", status: 404}},
	"GET /v1/platforms":       {{path: "/v1/platforms", status: 403}},
	"PUT /v1/platforms":       {{path: "/v1/platforms", body: `{"matchers":[],"groups":{}}`, status: 403}},
	"GET /v1/links":           {{path: "/v1/links", status: 200}},
	"PUT /v1/links/{id}/mode": {{path: "/v1/links/{link}/mode", body: `{"mode":"off"}`, status: 403}},
	"GET /v1/events": {
		{path: "/v1/events?account={jid}&last_event_id=x", status: 422, same: "the id is wrong; what a stream holds is TestStreamFilter's"},
	},
	"GET /v1/webhooks":                                       {{path: "/v1/webhooks", status: 200}},
	"POST /v1/webhooks":                                      {{path: "/v1/webhooks", body: `{"url":"https://ours.example/","domains":["{domain}"]}`, status: 422}},
	"GET /v1/webhooks/{id}":                                  {{path: "/v1/webhooks/{webhook}", status: 404}},
	"PATCH /v1/webhooks/{id}":                                {{path: "/v1/webhooks/{webhook}", body: `{"enabled":false}`, status: 404}},
	"DELETE /v1/webhooks/{id}":                               {{path: "/v1/webhooks/{webhook}", status: 404}},
	"POST /v1/webhooks/{id}/rotate":                          {{path: "/v1/webhooks/{webhook}/rotate", status: 404}},
	"POST /v1/webhooks/{id}/test":                            {{path: "/v1/webhooks/{webhook}/test", status: 404}},
	"GET /v1/webhooks/{id}/deliveries":                       {{path: "/v1/webhooks/{webhook}/deliveries", status: 404}},
	"POST /v1/webhooks/{id}/deliveries/{delivery}/redeliver": {{path: "/v1/webhooks/{webhook}/deliveries/{delivery}/redeliver", status: 404}},
}

// things are what a probe is about, by the words that stand for them.
type things map[string]string

func (t things) in(s string) string {
	for word, thing := range t {
		s = strings.ReplaceAll(s, word, thing)
	}
	return s
}

// twoDomains seeds a service with the same in ours.example and theirs.example. theirs is there; ghosts are not.
func twoDomains(t *testing.T) (s *service, theirs things, ghosts []things) {
	t.Helper()
	s = newService(t)
	for _, domain := range []string{"ours.example", "theirs.example"} {
		for i, name := range []string{"ann", "bob"} {
			account := name + "@" + domain
			if domain == "theirs.example" && i == 0 {
				account = "carl@" + domain
			}
			s.seed(seeded{account: account, resource: "phone", generation: 1}, seeded{account: account, resource: "web", platform: "web", generation: 2},
				seeded{account: account, resource: "old", generation: 3, ended: true})
			s.do("PUT", "/v1/accounts/"+account+"/rule", `{"max_sessions":3}`).ok(201, nil)
			s.exec(`insert into decisions (account, at, ask_id, resource, platform, outcome, code, evicted, rule_level, explanation, condition, shadow)
				values ($1, clock_timestamp(), '', 'phone', 'ios', 'allow', 'ok', '{}', 'default', '{}', '', false)`, store.KeyOf(account))
			s.exec(`insert into loops (account, party, winner, resource, opened_at, until) values ($1, 1, 1, 'phone', now(), now() + interval '1 hour')`, store.KeyOf(account))
		}
		s.do("PUT", "/v1/domains/"+domain+"/rule", `{"max_sessions":3}`).ok(201, nil)
		s.exec(`insert into tallies (domain, seconds, at, counts) values ($1, 60, '2099-11-01T10:01:00Z', '{"login/ok":3,"took/5":3}')`, domain)
	}
	s.exec(`insert into tallies (domain, seconds, at, counts) values ('', 60, '2099-11-01T10:01:00Z', '{"login/ok":6,"took/5":6}')`)
	s.do("POST", "/v1/groups/bees/members", `{"add":["carl@theirs.example"]}`).ok(200, nil)
	s.do("POST", "/v1/groups/shared/members", `{"add":["ann@ours.example","bob@theirs.example"]}`).ok(200, nil)
	for _, group := range []string{"bees", "shared"} {
		s.do("PUT", "/v1/groups/"+group+"/rule", `{"max_sessions":3}`).ok(201, nil)
	}
	s.exec(`insert into links (name, expires_at, state) values ('one', '-infinity', $1), ('two', '-infinity', $2)`,
		`{"up":true,"domains":[{"domain":"ours.example"},{"domain":"theirs.example"}]}`, `{"up":true,"domains":[{"domain":"theirs.example"}]}`)
	bob := store.KeyOf("bob@theirs.example")
	theirs = things{"{jid}": "bob@theirs.example", "{domain}": "theirs.example", "{group}": "bees", "{session}": store.SessionID(bob, 1), "{link}": "two"}
	var device struct{ ID string }
	s.do("POST", "/v1/accounts/bob@theirs.example/devices", `{"resource":"phone"}`).ok(201, &device)
	var grant struct{ Token string }
	s.do("POST", "/v1/accounts/bob@theirs.example/grants", `{"ttl_seconds":3600}`).ok(201, &grant)
	theirs["{device}"], theirs["{grant}"] = device.ID, grant.Token
	job := s.do("PUT", "/v1/domains/theirs.example/rule?apply=now", `{"max_sessions":4}`).ok(200, nil).header.Get("Location")
	theirs["{kick}"] = strings.TrimPrefix(job, "/v1/kicks/")
	var hook struct{ ID string }
	s.do("POST", "/v1/webhooks", `{"url":"https://theirs.example/","domains":["theirs.example"]}`).ok(201, &hook)
	number, err := store.ParseWebhookID(hook.ID)
	if err != nil {
		t.Fatal(err)
	}
	s.exec(`insert into webhook_deliveries (webhook, id, state, created_at) values ($1, 1, 'delivered', now())`, number)
	theirs["{webhook}"], theirs["{delivery}"] = hook.ID, store.DeliveryID(number, 1)
	eventually(t, "all is counted", func() bool {
		return s.count(`select count(*) from census where figures -> 'domains' ? 'theirs.example'`) == 1
	})
	s.exec(`update census set counted_at = '2099-01-01'`) // and is not counted again
	for _, jid := range []string{"nobody@theirs.example", "bob@nowhere.example"} {
		key := store.KeyOf(jid)
		_, domain, _ := strings.Cut(jid, "@")
		ghosts = append(ghosts, things{
			"{jid}": jid, "{domain}": domain, "{group}": "none", "{session}": store.SessionID(key, 1), "{device}": store.DeviceID(key, 1),
			"{kick}": store.JobID(1 << 40), "{grant}": strings.Repeat("A", len(grant.Token)), "{link}": "none",
			"{webhook}": store.WebhookID(1 << 40), "{delivery}": store.DeliveryID(1<<40, 1),
		})
	}
	ghosts[0]["{domain}"] = "elsewhere.example"
	ghosts[0]["{session}"], ghosts[0]["{device}"] = store.SessionID(bob, 99), store.DeviceID(bob, 99)
	for _, t := range append(ghosts, theirs) {
		t["{own}"], t["{mine}"] = "ann@ours.example", store.SessionID(store.KeyOf("ann@ours.example"), 1)
	}
	return s, theirs, ghosts
}

// traces are what an answer must not hold: names of theirs.example, and what their public ids begin with.
func traces() []string {
	list := []string{"theirs.example", "bees"}
	for _, jid := range []string{"bob@theirs.example", "carl@theirs.example"} {
		list = append(list, strings.TrimPrefix(store.SessionID(store.KeyOf(jid), 1), "ses_")[:24])
	}
	return list
}

// answer is a reply without what differs from one request to the next.
func (r *reply) answer(t *testing.T) string {
	t.Helper()
	header := r.header.Clone()
	header.Del("X-Request-Id")
	header.Del("Date")
	header.Del("Content-Length") // of the body, which is compared
	body := string(r.body)
	var p map[string]any
	if json.Unmarshal(r.body, &p) == nil && p["request_id"] != nil {
		p["request_id"] = "-"
		b, err := json.Marshal(p)
		if err != nil {
			t.Fatal(err)
		}
		body = string(b)
	}
	return fmt.Sprintf("%d %v\n%s", r.status, header, body)
}

// record is everything in the database but what the gate writes at any time: owners of links, positions of events, progress of jobs, counts.
func (s *service) record() string {
	s.t.Helper()
	rows, err := s.pool.Query(s.t.Context(), `select c.oid::regclass::text from pg_class c where c.relkind in ('r', 'p') and not c.relispartition
		and c.relnamespace = 'public'::regnamespace and c.relname not in ('links', 'event_queue', 'event_head', 'event_positions', 'job_parts', 'census', 'census_events', 'tallies') order by 1`)
	if err != nil {
		s.t.Fatal(err)
	}
	var tables []string
	for rows.Next() {
		var name string
		if err := rows.Scan(&name); err != nil {
			s.t.Fatal(err)
		}
		tables = append(tables, name)
	}
	var all strings.Builder
	for _, name := range tables {
		var sum string
		from := name
		if name == "jobs" {
			from = `(select id, kind, filter, requested_by, state = 'cancelled' from jobs)`
		}
		if err := s.pool.QueryRow(s.t.Context(), `select coalesce(md5(string_agg(x::text, chr(10) order by x::text)), '') from `+from+` x`).Scan(&sum); err != nil {
			s.t.Fatal(err)
		}
		fmt.Fprintf(&all, "%s %s\n", name, sum)
	}
	return all.String()
}

// One domain's token against every route: never another domain's data, never a difference between "not yours" and "not there".
func TestDomainsAreIsolated(t *testing.T) {
	t.Parallel()
	known := map[string]bool{}
	shared, sharedTheirs, sharedGhosts := twoDomains(t) // for what only looks
	for _, r := range api.Routes() {
		name := r.Method + " " + r.Path
		known[name] = true
		switch probes, ok := isolated[name]; {
		case r.Scopes == nil:
		case !ok:
			t.Errorf("%s has no probe: add to isolated (isolation_test.go) what a token of another domain gets to see there", name)
		default:
			t.Run(name, func(t *testing.T) {
				t.Parallel()
				s, theirs, ghosts := *shared, sharedTheirs, sharedGhosts
				if s.t = t; r.Method != http.MethodGet {
					own, ownTheirs, ownGhosts := twoDomains(t)
					s, theirs, ghosts = *own, ownTheirs, ownGhosts
				}
				for _, p := range probes {
					s.isolates(t, r.Method, p, theirs, ghosts)
				}
			})
		}
	}
	for _, name := range slices.Sorted(maps.Keys(isolated)) {
		if !known[name] {
			t.Errorf("%s has a probe and is no route", name)
		}
	}
}

// unechoed takes out of an answer what the caller itself has said.
func (p probe) unechoed(answer string, about things) string {
	if p.echoes == "" {
		return answer
	}
	return strings.ReplaceAll(answer, `"`+about[p.echoes]+`"`, `"`+p.echoes+`"`)
}

func (s *service) isolates(t *testing.T, method string, p probe, theirs things, ghosts []things) {
	t.Helper()
	limited := as(mint(t, api.Claims{Subject: "ours", Scopes: []string{api.ScopeAdmin}, Domains: []string{"ours.example"}}))
	what := method + " " + p.path + " " + p.body
	before := s.record()
	got := s.do(method, theirs.in(p.path), theirs.in(p.body), limited)
	if got.status != p.status {
		t.Errorf("%s: %d, want %d: %s", what, got.status, p.status, got.body)
	}
	answer := p.unechoed(got.answer(t), theirs)
	for _, ghost := range ghosts {
		if other := p.unechoed(s.do(method, ghost.in(p.path), ghost.in(p.body), limited).answer(t), ghost); other != answer {
			t.Errorf("%s tells what is not ours from what is not there:\n%s\n%s", what, answer, other)
		}
	}
	for _, trace := range traces() {
		if strings.Contains(answer, trace) {
			t.Errorf("%s shows %q:\n%s", what, trace, answer)
		}
	}
	if after := s.record(); after != before {
		t.Errorf("%s changed something:\n%s\n%s", what, before, after)
	}
	all := s.do(method, theirs.in(p.path), theirs.in(p.body))
	if differs := p.unechoed(all.answer(t), theirs) != answer; differs != (p.same == "") {
		t.Errorf("%s: an unlimited token gets %d %s; does that differ? %v, want %v", what, all.status, all.body, differs, p.same == "")
	}
}
