package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/dashboard"
)

const (
	pageSessions  = 1_000_000
	pageDecisions = 10_000_000
	pageViews     = 60 // of each page and round, for its p95
)

// viewed are the pages of the dashboard that are compared.
var viewed = map[string]string{
	"overview":               "/overview",
	"overview, a day":        "/overview?range=24h",
	"overview, a month":      "/overview?range=30d",
	"sessions":               "/sessions",
	"sessions, found":        "/sessions?q=user777",
	"sessions, of a domain":  "/sessions?domain=small.example",
	"sessions, ended":        "/sessions?state=ended",
	"decisions":              "/decisions",
	"decisions, denied":      "/decisions?outcome=deny",
	"decisions, none":        "/decisions?code=frozen",
	"decisions, of a domain": "/decisions?domain=small.example",
	"loops":                  "/loops",
	"account":                "/account?jid=user7@example.org",
	"account, history":       "/account?jid=user7@example.org&part=history",
	"rules":                  "/rules",
	"links":                  "/links",
	"audit":                  "/audit",
	"webhooks":               "/webhooks",
	"kicks":                  "/kicks",
	"try":                    "/try",
}

// pages compares the dashboard's pages over a full record with the same over an empty one: how long the first byte takes. The row is that of the page that fares worst.
func pages(ctx context.Context, log *slog.Logger) (row, error) {
	r := row{
		Name: "pages", Bound: "≤ 10", Unit: "× p95 of an empty record", Detail: map[string]float64{},
		How: fmt.Sprintf("p95 of %d first bytes of each of %d pages of the dashboard with %d live sessions and %d decisions in the record ÷ the same with an empty one; the worst page", pageViews, len(viewed), pageSessions, pageDecisions),
	}
	empty, err := newService(ctx, log, listSettings)
	if err != nil {
		return r, err
	}
	defer empty.stop()
	full, err := newService(ctx, log, listSettings)
	if err != nil {
		return r, err
	}
	defer full.stop()
	var readers [2]*http.Client
	for i, s := range []*service{empty, full} {
		if readers[i], err = s.operator(ctx); err != nil {
			return r, err
		}
	}
	const key = `encode(substring(sha256(convert_to('user7@example.org', 'UTF8')) for 16), 'hex')::uuid`
	if err := empty.exec(ctx, `insert into accounts (key, jid, domain) values (`+key+`, 'user7@example.org', 'example.org')`); err != nil { // who is not known has no page
		return r, err
	}
	if err := full.past(ctx); err != nil {
		return r, err
	}
	if err := full.populate(ctx, pageSessions); err != nil {
		return r, err
	}
	if err := full.decide(ctx, pageDecisions); err != nil {
		return r, err
	}
	log.Info("the record is full")
	for _, name := range slices.Sorted(maps.Keys(viewed)) {
		var ratios, a, b []float64
		for n := range rounds + 1 {
			var x, y []float64
			for range pageViews / 10 { // in turns, so that both have the same machine
				if x, err = empty.views(ctx, readers[0], viewed[name], x); err != nil {
					return r, err
				}
				if y, err = full.views(ctx, readers[1], viewed[name], y); err != nil {
					return r, err
				}
			}
			if n > 0 { // the first is to warm up
				ratios, a, b = append(ratios, percentile(y, 95)/percentile(x, 95)), append(a, percentile(x, 95)), append(b, percentile(y, 95))
			}
		}
		ratio := median(ratios)
		log.Info("page", "name", name, "ratio", ratio, "p95_ms", median(b), "p95_ms_of_empty", median(a))
		if ratio > r.Ratio {
			r.Ratio = ratio
			r.How = r.How[:strings.LastIndex(r.How, ";")] + "; the worst page: " + name
			r.Detail = map[string]float64{"p95 ms": median(b), "p95 ms of empty": median(a)}
		}
	}
	r.Holds = r.Ratio <= 10
	return r, nil
}

// views opens a page ten times and adds how long each took until its first byte, in milliseconds.
func (s *service) views(ctx context.Context, reader *http.Client, path string, took []float64) ([]float64, error) {
	for range 10 {
		var first time.Time
		trace := &httptrace.ClientTrace{GotFirstResponseByte: func() { first = time.Now() }}
		req, err := http.NewRequestWithContext(httptrace.WithClientTrace(ctx, trace), http.MethodGet, s.url+dashboard.Root+path, nil)
		if err != nil {
			return nil, err
		}
		begin := time.Now()
		if err := answeredPage(reader, req); err != nil {
			return nil, err
		}
		took = append(took, first.Sub(begin).Seconds()*1000)
	}
	return took, nil
}

// past makes the partitions that a bindgate would have which ran for months.
func (s *service) past(ctx context.Context) error {
	return s.exec(ctx, `do $$ begin
		for n in 1..3 loop
			execute format('create table %I partition of decisions for values from (%L) to (%L) with (fillfactor = 90)', 'decisions_' || to_char(date_trunc('month', now()) - make_interval(months => n), 'YYYY_MM'),
				date_trunc('month', now()) - make_interval(months => n), date_trunc('month', now()) - make_interval(months => n - 1));
		end loop; end $$`)
}

// decide puts n decisions on record, a fiftieth of them denials, evenly over as long as they are kept by default; and what is counted of a year and two days.
func (s *service) decide(ctx context.Context, n int) error {
	values := strings.NewReplacer("$N", strconv.Itoa(n), "$STEP", strconv.FormatFloat((89*24*time.Hour).Seconds()/float64(n), 'f', 6, 64))
	return s.exec(ctx,
		`truncate decisions`, // of populate, which are of two moments
		`create temp table b as select key, row_number() over () as i from accounts`,
		`create unique index on b (i)`,
		values.Replace(`insert into decisions (account, at, ask_id, resource, platform, generation, outcome, code, evicted, rule_level, rule_field, explanation, condition, shadow)
			select b.key, now() - ($N - n) * $STEP * interval '1 second', '', 'client-' || n % 5, (array['ios', 'android', 'web', 'desktop'])[1 + n % 4], 4, case when n % 50 = 0 then 'deny' else 'allow' end,
				case when n % 50 = 0 then 'cooldown' when n % 7 = 0 then 'takeover' else 'ok' end, case when n % 7 = 0 and n % 50 > 0 then '{2}'::bigint[] else '{}' end, 'default', 'max_sessions',
				array['max_sessions is 1: the oldest session goes'], '', false
			from generate_series(1, $N) n join b on b.i = 1 + n::bigint * 7919 % (select count(*) from b) order by n`),
		`insert into tallies (domain, seconds, at, counts, sample) select d, s, to_timestamp(t),
				'{"login/ok":300,"login/takeover":40,"denial/cooldown":20,"denial/limit":3,"eviction/takeover":40,"eviction/kick":2,"end/logout":300,"took/3":200,"took/5":100,"took/9":3,"took/14":1}',
				'{"online":400000,"several":1000,"states":{"active":700000,"hibernating":300000},"platforms":{"ios":250000,"android":250000,"web":250000,"desktop":250000}}'
			from unnest(array['', 'example.org', 'small.example']) d, (select 60 as s, floor(extract(epoch from now()) / 60) * 60 - i * 60 as t from generate_series(1, 2880) i
				union all select 900, floor(extract(epoch from now()) / 900) * 900 - i * 900 from generate_series(1, 768) i
				union all select 3600, floor(extract(epoch from now()) / 3600) * 3600 - i * 3600 from generate_series(1, 9000) i) x on conflict do nothing`,
		`analyze`, `vacuum`)
}

// exec carries out statements, one after the other, over one connection.
func (s *service) exec(ctx context.Context, statements ...string) error {
	conn, err := pgx.Connect(ctx, s.cluster.URL())
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	for _, sql := range statements {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("%.40s: %w", sql, err)
		}
	}
	return nil
}

// operator logs somebody in to the dashboard who may see everything.
func (s *service) operator(ctx context.Context) (*http.Client, error) {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return nil, err
	}
	reader := &http.Client{Jar: jar}
	form := url.Values{"username": {"admin"}, "password": {s.password}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.url+dashboard.Root+"/login", strings.NewReader(form.Encode()))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return reader, answeredPage(reader, req)
}

// answeredPage sends a request and reads the page that it, or where it leads to, has.
func answeredPage(reader *http.Client, req *http.Request) error {
	resp, err := reader.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if _, err := io.Copy(io.Discard, resp.Body); err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK || resp.Request.Method == http.MethodGet && strings.HasSuffix(resp.Request.URL.Path, "/login") {
		return fmt.Errorf("%s %s: %s at %s", req.Method, req.URL.Path, resp.Status, resp.Request.URL.Path)
	}
	return nil
}
