package store

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// How long the minutes of a history are kept, its quarters of an hour, and its hours.
const (
	MinutesKept  = 48 * time.Hour
	QuartersKept = 8 * 24 * time.Hour
	HoursKept    = 400 * 24 * time.Hour
)

// tallySteps are how long, in seconds, the steps are that are kept.
const tallySteps = "(values (60), (900), (3600)) p(seconds)"

// keptStep is the longest of these that a longer one is made of.
func keptStep(step time.Duration) int {
	for _, seconds := range []int{3600, 900} {
		if step%(time.Duration(seconds)*time.Second) == 0 {
			return seconds
		}
	}
	return 60
}

// HistoryFilter says which figures are read: by steps of whole minutes, from one's beginning to another's.
type HistoryFilter struct {
	Domains      []string // nil: all
	Since, Until time.Time
	Step         time.Duration
}

// HistoryPoint is what there was in one step.
type HistoryPoint struct {
	Watched bool  // some process was there to count: what is not in Counts did not happen
	Counts  Tally // nil: nothing
	Sample  *Sample
}

// Sample is how many there were at a census.
type Sample struct {
	Online    int64            `json:"online"`    // accounts
	Several   int64            `json:"several"`   // of these, with several sessions
	States    map[string]int64 `json:"states"`    // sessions by state
	Platforms map[string]int64 `json:"platforms"` // sessions by platform
}

// FindHistory returns a point for each step from Since to Until.
func (s *Store) FindHistory(ctx context.Context, f HistoryFilter) ([]HistoryPoint, error) {
	points := make([]HistoryPoint, max(0, f.Until.Sub(f.Since)/f.Step))
	var domains []string
	if f.Domains != nil { // those of all domains say only whether somebody was there
		domains = append([]string{""}, f.Domains...)
	} else {
		domains = []string{""}
	}
	rows, err := s.pool.Query(ctx, `select domain, at, case when domain <> '' or $4 then counts end, sample is not null, case when domain <> '' or $4 then sample end
		from tallies where domain = any($1) and seconds = $2 and at >= $3 and at < $5 order by at`, domains, keptStep(f.Step), f.Since, f.Domains == nil, f.Until)
	if err != nil {
		return nil, fmt.Errorf("find history: %w", err)
	}
	var r tallyRow
	samples := map[int]*sampled{}
	_, err = pgx.ForEachRow(rows, []any{&r.domain, &r.at, &r.counts, &r.sampled, &r.sample}, func() error {
		i := int(r.at.Sub(f.Since) / f.Step)
		if samples[i] == nil {
			samples[i] = &sampled{}
		}
		if err := points[i].add(r.counts); err != nil {
			return err
		}
		points[i].Watched = points[i].Watched || r.domain == ""
		return samples[i].add(r)
	})
	if err != nil {
		return nil, fmt.Errorf("find history: %w", err)
	}
	for i, s := range samples {
		if s.taken {
			points[i].Sample = &s.Sample
		}
	}
	return points, nil
}

type tallyRow struct {
	domain         string
	at             time.Time
	counts, sample []byte
	sampled        bool
}

func (p *HistoryPoint) add(counts []byte) error {
	if len(counts) == 0 {
		return nil
	}
	var flat map[string]int64
	if err := json.Unmarshal(counts, &flat); err != nil {
		return err
	}
	if p.Counts == nil && len(flat) > 0 {
		p.Counts = Tally{}
	}
	for name, n := range flat {
		of, code, _ := strings.Cut(name, "/")
		p.Counts[Count{Counted(of), code}] += n
	}
	return nil
}

// sampled adds up the samples of the first time in a step at which one was taken.
type sampled struct {
	Sample
	taken bool
	at    time.Time
}

func (s *sampled) add(r tallyRow) error {
	if !r.sampled || s.taken && !r.at.Equal(s.at) {
		return nil
	}
	s.taken, s.at = true, r.at
	if len(r.sample) == 0 {
		return nil
	}
	var one Sample
	if err := json.Unmarshal(r.sample, &one); err != nil {
		return err
	}
	s.Online += one.Online
	s.Several += one.Several
	sum(&s.States, one.States)
	sum(&s.Platforms, one.Platforms)
	return nil
}

func sum(into *map[string]int64, more map[string]int64) {
	if *into == nil {
		*into = map[string]int64{}
	}
	for name, n := range more {
		(*into)[name] += n
	}
}

// sampleCensus keeps the figures of a census that was just written as the sample of each step that has none. A domain where nobody is online has no sample.
func sampleCensus(ctx context.Context, tx pgx.Tx, at time.Time) error {
	var missing []int32
	err := tx.QueryRow(ctx, `select array_agg(p.seconds) from `+tallySteps+`
		where not exists (select from tallies t where t.domain = '' and t.seconds = p.seconds and t.at = `+stepOf("$1::timestamptz")+` and t.sample is not null)`, at).
		Scan((*pgtype.FlatArray[int32])(&missing))
	if err != nil || len(missing) == 0 {
		return err
	}
	_, err = tx.Exec(ctx, `with d as materialized (select d.key as domain, (value ->> 'online')::bigint as online, (value ->> 'several')::bigint as several, value -> 'states' as states, value -> 'platforms' as platforms
				from census c, jsonb_each(c.figures -> 'domains') d),
			everything as (select '' as domain, jsonb_build_object('online', coalesce(sum(online), 0), 'several', coalesce(sum(several), 0),
				'states', (select coalesce(jsonb_object_agg(key, n), '{}') from (select f.key, sum(f.value::bigint) as n from d, jsonb_each_text(d.states) f group by 1) s),
				'platforms', (select coalesce(jsonb_object_agg(key, n), '{}') from (select f.key, sum(f.value::bigint) as n from d, jsonb_each_text(d.platforms) f group by 1) s)) as sample from d)
		insert into tallies (domain, seconds, at, counts, sample) select s.domain, p.seconds, `+stepOf("$1::timestamptz")+`, '{}', s.sample
			from (select * from everything union all select domain, jsonb_build_object('online', online, 'several', several, 'states', states, 'platforms', platforms) from d where states <> '{}') s,
				unnest($2::integer[]) p(seconds) order by 1, 2
		on conflict (domain, seconds, at) do update set sample = excluded.sample where tallies.sample is null`, at, missing)
	return err
}

// stepOf is the beginning of the step of p.seconds that a time is in.
func stepOf(at string) string {
	return "to_timestamp(floor(extract(epoch from " + at + ") / p.seconds) * p.seconds)"
}
