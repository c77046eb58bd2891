package store_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// What processes add at once comes to one sum, by domain and of all of them, in minutes and in hours.
func TestAddTallies(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	ok, denied := store.Count{Of: store.CountLogin, Code: "ok"}, store.Count{Of: store.CountDenial, Code: "limit"}
	failed := make(chan error)
	for range 4 {
		go func() {
			failed <- st.AddTallies(t.Context(), map[string]store.Tally{"a.example": {ok: 2}, "b.example": {ok: 1, denied: 5}})
		}()
	}
	for range 4 {
		if err := <-failed; err != nil {
			t.Fatal(err)
		}
	}
	if err := st.AddTallies(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	now, err := st.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, step := range []time.Duration{5 * time.Minute, 6 * time.Hour} {
		for name, test := range map[string]struct {
			domains []string
			want    store.Tally
		}{
			"all":       {nil, store.Tally{ok: 12, denied: 20}},
			"one":       {[]string{"a.example"}, store.Tally{ok: 8}},
			"both":      {[]string{"a.example", "b.example"}, store.Tally{ok: 12, denied: 20}},
			"no such":   {[]string{"c.example"}, nil},
			"no domain": {[]string{}, nil},
		} {
			since := now.Truncate(step).Add(-2 * step)
			points, err := st.FindHistory(t.Context(), store.HistoryFilter{Domains: test.domains, Since: since, Until: since.Add(4 * step), Step: step})
			if err != nil {
				t.Fatal(err)
			}
			got, watched := store.Tally(nil), 0
			for _, p := range points {
				if p.Watched {
					watched++
				}
				for c, n := range p.Counts {
					if got == nil {
						got = store.Tally{}
					}
					got[c] += n
				}
			}
			if d := cmp.Diff(test.want, got); d != "" || watched == 0 || watched == len(points) {
				t.Errorf("%s by %v: %d of %d steps are watched, %s", name, step, watched, len(points), d)
			}
		}
	}
}

// The first census of a step is its sample.
func TestHistoryHasSamples(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	exec := func(sql string) {
		t.Helper()
		if _, err := st.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	exec(`insert into accounts (key, jid, domain) select gen_random_uuid(), 'u' || n || '@' || d, d from (values ('a.example'), ('b.example'), ('c.example')) x(d), generate_series(1, 3) n`)
	exec(`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, started_at, last_seen_at)
		select key, 's' || n, n, '', '', 'active', 'unknown', case when domain = 'a.example' then 'ios' else 'web' end, '', true, '', '', '', '', '', now(), now() from accounts, generate_series(1, 2) n where domain <> 'c.example'`)
	if err := st.TakeCensus(t.Context()); err != nil {
		t.Fatal(err)
	}
	exec("delete from sessions")
	exec("update census set counted_at = counted_at - interval '1 minute'")
	exec("update tallies set at = at - interval '1 minute' where seconds = 60") // the second census is of the next minute
	if err := st.TakeCensus(t.Context()); err != nil {
		t.Fatal(err)
	}
	now, err := st.Now(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for name, test := range map[string]struct {
		domains []string
		want    store.Sample
	}{
		"all":     {nil, store.Sample{Online: 6, Several: 6, States: map[string]int64{"active": 12}, Platforms: map[string]int64{"ios": 6, "web": 6}}},
		"one":     {[]string{"a.example"}, store.Sample{Online: 3, Several: 3, States: map[string]int64{"active": 6}, Platforms: map[string]int64{"ios": 6}}},
		"nobody":  {[]string{"c.example"}, store.Sample{}},
		"no such": {[]string{"d.example"}, store.Sample{}},
	} {
		since := now.Truncate(time.Minute).Add(-3 * time.Minute)
		points, err := st.FindHistory(t.Context(), store.HistoryFilter{Domains: test.domains, Since: since, Until: since.Add(5 * time.Minute), Step: time.Minute})
		if err != nil {
			t.Fatal(err)
		}
		var got []store.Sample
		for _, p := range points {
			if p.Sample != nil {
				got = append(got, *p.Sample)
			}
		}
		empty := store.Sample{States: map[string]int64{}, Platforms: map[string]int64{}}
		if test.domains != nil {
			empty = store.Sample{}
		}
		if d := cmp.Diff([]store.Sample{test.want, empty}, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
	}
}

func TestQuantile(t *testing.T) {
	t.Parallel()
	counts := store.Tally{}
	for ms := range 1000 { // evenly from 0 to 999.5 ms
		counts[store.Count{Of: store.CountTook, Code: store.TookCode(time.Duration(ms)*time.Millisecond + 500*time.Microsecond)}]++
	}
	for share, want := range map[float64]float64{.5: 500, .95: 950, .99: 990} {
		if got, ok := counts.Quantile(share); !ok || math.Abs(got-want) > want/6 {
			t.Errorf("%v: %v, %v, want about %v", share, got, ok, want)
		}
	}
	if _, ok := (store.Tally{{Of: store.CountLogin, Code: "ok"}: 3}).Quantile(.5); ok {
		t.Error("there is a quantile of nothing")
	}
	slow := store.Tally{{Of: store.CountTook, Code: store.TookCode(time.Hour)}: 1}
	if got, ok := slow.Quantile(.99); !ok || math.Abs(got-4096) > 1 {
		t.Errorf("of what took longer than is told: %v, %v", got, ok)
	}
}
