package main

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/store"
)

const (
	listFew   = 10_000
	listMany  = 1_000_000
	listPages = 100 // of each list and round, for its p99
)

// listSettings are of a PostgreSQL that is sized for so many: its own would have the pages of the tables come and go.
var listSettings = map[string]string{"shared_buffers": "1GB"}

// listed are the pages that are compared: each list, with filters that find much, little and nothing.
var listed = map[string]string{
	"all":                       "/v1/sessions?limit=50",
	"500":                       "/v1/sessions?limit=500",
	"ended":                     "/v1/sessions?state=ended&limit=50",
	"domain":                    "/v1/sessions?domain=example.org&limit=50",
	"small domain":              "/v1/sessions?domain=small.example&limit=50",
	"no such domain":            "/v1/sessions?domain=none.example&limit=50",
	"ended of a domain":         "/v1/sessions?domain=small.example&state=ended&limit=50",
	"account":                   "/v1/sessions?account=user7@example.org&limit=50",
	"platform":                  "/v1/sessions?platform=mobile&limit=50",
	"rare platform":             "/v1/sessions?platform=bot&limit=50",
	"no such platform":          "/v1/sessions?platform=fridge&limit=50",
	"rare platform of a domain": "/v1/sessions?domain=example.org&platform=bot&limit=50",
	"active":                    "/v1/sessions?state=active&limit=50",
	"binding":                   "/v1/sessions?state=binding&limit=50",
	"hibernating":               "/v1/sessions?state=hibernating&limit=50",
	"evicting":                  "/v1/sessions?state=evicting&limit=50",
	"hibernating bots":          "/v1/sessions?state=hibernating&platform=bot&limit=50",
	"evicting in a domain":      "/v1/sessions?state=evicting&domain=small.example&limit=50",
	"q, one":                    "/v1/sessions?q=user777@&limit=50",
	"q, many":                   "/v1/sessions?q=user&limit=50",
	"q, none":                   "/v1/sessions?q=zzz&limit=50",
	"q, bots":                   "/v1/sessions?q=user&platform=bot&limit=50",
	"q, of a resource":          "/v1/sessions?q=user777@example.org/c&limit=50",
	"of an account":             "/v1/accounts/user7@example.org/sessions?limit=50",
	"devices":                   "/v1/accounts/user7@example.org/devices?limit=50",
	"decisions":                 "/v1/accounts/user7@example.org/decisions?limit=50",
	"domains":                   "/v1/domains?limit=50",
	"groups":                    "/v1/groups?limit=50",
	"rules":                     "/v1/rules?limit=50",
	"kicks":                     "/v1/kicks?limit=50",
	"loops":                     "/v1/loops?limit=50",
	"stats":                     "/v1/stats",
}

// lists compares pages of every list among many live sessions with the same pages among few. The row is that of the list that fares worst.
func lists(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "lists", Bound: "≤ 3", Unit: "× p99 of few", Detail: map[string]float64{},
		How: fmt.Sprintf("p99 of %d pages of each of %d lists with %d live sessions, and as many that have ended, ÷ the same with %d; the worst list", listPages, len(listed), listMany, listFew),
	}
	few, err := newService(ctx, log, listSettings)
	if err != nil {
		return r, err
	}
	defer few.stop()
	many, err := newService(ctx, log, listSettings)
	if err != nil {
		return r, err
	}
	defer many.stop()
	for s, n := range map[*service]int{few: listFew, many: listMany} {
		if err := s.populate(ctx, n); err != nil {
			return r, err
		}
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		var ratios, a, b, medianA, medianB []float64
		for n := range rounds + 1 {
			x, y, err := turns(ctx, few, many, listed[name])
			if err != nil {
				return r, err
			}
			if n > 0 { // the first is to warm up
				ratios, a, b = append(ratios, percentile(y, 99)/percentile(x, 99)), append(a, percentile(x, 99)), append(b, percentile(y, 99))
				medianA, medianB = append(medianA, median(x)), append(medianB, median(y))
			}
		}
		ratio := median(ratios)
		log.Info("list", "name", name, "ratio", ratio, "p99_ms", median(b), "p99_ms_of_few", median(a), "p50_ms", median(medianB), "p50_ms_of_few", median(medianA))
		if ratio > r.Ratio {
			r.Ratio = ratio
			r.How = r.How[:strings.LastIndex(r.How, ";")] + "; the worst list: " + name
			r.Detail = map[string]float64{"p99 ms": median(b), "p99 ms of few": median(a), "p50 ms": median(medianB), "p50 ms of few": median(medianA)}
		}
	}
	r.Holds = r.Ratio <= 3
	return r, nil
}

// turns has both answer pages of a list, ten at a time, so that both have the same machine.
func turns(ctx context.Context, few, many *service, path string) (a, b []float64, err error) {
	for range listPages / 10 {
		if a, err = few.pages(ctx, path, a); err != nil {
			return nil, nil, err
		}
		if b, err = many.pages(ctx, path, b); err != nil {
			return nil, nil, err
		}
	}
	return a, b, nil
}

// pages asks for a page, and for those behind it, ten in all, and adds how long each took, in milliseconds. At the end of the list it begins again.
func (s *service) pages(ctx context.Context, path string, took []float64) ([]float64, error) {
	next := path
	for range 10 {
		begin := time.Now()
		cursor, err := s.page(ctx, next)
		if err != nil {
			return nil, err
		}
		took = append(took, time.Since(begin).Seconds()*1000)
		next = path
		if cursor != "" {
			next = path + "&cursor=" + cursor
		}
	}
	return took, nil
}

func (s *service) page(ctx context.Context, path string) (cursor string, err error) {
	var p struct {
		Next *string `json:"next_cursor"`
	}
	if err := s.get(ctx, path, &p); err != nil || p.Next == nil {
		return "", err
	}
	return *p.Next, nil
}

// populate puts accounts with n live sessions, and as many that have ended, on record: three in four in one domain, the others in a hundred; few of them are bots or evicting; binding, which takes milliseconds, are as many as when thousands log in each second.
func (s *service) populate(ctx context.Context, n int) error {
	conn, err := pgx.Connect(ctx, s.cluster.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	names := strings.NewReplacer("$N", strconv.Itoa(n/2), "$DEVICE", strconv.FormatInt(store.DeviceOf("resource", "client-1"), 10))
	for _, sql := range []string{
		`create temp table a as select encode(substring(sha256(convert_to(jid, 'UTF8')) for 16), 'hex')::uuid as key, jid, split_part(jid, '@', 2) as domain, i from (
			select i, 'user' || i || '@' || case when i % 4 > 0 then 'example.org' when i % 100 = 0 then 'small.example' else 'd' || i % 97 || '.example' end as jid from generate_series(1, $N) i) j order by 1`,
		`insert into accounts (key, jid, domain, generation, account_group) select key, jid, domain, 4, case when i % 10 = 0 then 'g' || i % 300 when i % 3 = 0 then 'big' end from a`,
		`insert into group_sizes select account_group, domain, count(*) from accounts where account_group is not null group by 1, 2`,
		`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at, device)
			select key, encode(substring(key::text::bytea for 8), 'hex') || g, g, 'bench', 'client-' || g, case when i % 10000 = 1 then 'binding' when (i + g) % 3 = 0 then 'hibernating' else 'active' end, 'probable',
				case when i % 5000 = 3 then 'bot' else (array['ios', 'android', 'web', 'desktop'])[1 + (i + g) % 4] end, '192.0.2.1', true, 'tcp', '', 'Client 1.0', 'en', '', now(), now(), now(),
				case g when 3 then $DEVICE end from a, generate_series(3, 4) g order by 1`,
		`update sessions set evict_code = 'kick', evict_kick = 1, evict_at = now(), evict_next = now() where account in (select key from a where i % 500 = 3)`,
		`insert into session_history (account, ended_at, generation, sid, link, resource, identity, platform, ip, secure, transport, client, started_at, last_seen_at, end_reason)
			select key, now() - g * interval '1 hour', g, 'x' || g, 'bench', 'client-' || g, 'probable', 'web', '192.0.2.1', true, 'tcp', 'Client 1.0', now() - interval '5 hours', now() - interval '4 hours', 'logout'
			from a, generate_series(1, 2) g order by 1`,
		`insert into devices (account, id, identity, resource, first_seen_at, last_seen_at) select key, $DEVICE, 'probable', 'client-1', now(), now() from a order by 1`,
		`insert into decisions (account, at, ask_id, resource, platform, generation, outcome, code, evicted, rule_level, explanation, condition, shadow)
			select key, now() - g * interval '1 hour', '', 'client-' || g, 'web', g, 'allow', 'ok', '{}', '', '{}', '', false from a, generate_series(1, 2) g order by 1`,
		`insert into rules (scope, subject, fields, version, updated_at, updated_by) select 'account', jid, '{"max_sessions":2}', nextval('rule_version'), now(), '' from a where i % 20 = 0`,
		`insert into loops (account, party, winner, resource, opened_at, until) select key, 1, 3, 'client-1', now(), now() + interval '1 day' from a where i % 40 = 0 limit 100`,
		`insert into jobs (kind, filter, kick, requested_at, requested_by, state, total, finished_at, marked) select 'kick', '{}', '{}', now(), '', 'done', 0, now(), 0 from generate_series(1, 200)`,
		`analyze`,
		`vacuum`,
	} {
		if _, err := conn.Exec(ctx, names.Replace(sql)); err != nil {
			return fmt.Errorf("populate: %w", err)
		}
	}
	return nil
}

func (s *service) get(ctx context.Context, path string, into any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	req.Header.Set("Authorization", "Bearer "+s.token)
	return answered(req, into)
}
