package store

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
)

// Counted is a kind of things that are counted. Each has codes, of a closed set.
type Counted string

// What is counted.
const (
	CountLogin     Counted = "login"     // that was let in, by the code of the decision; CodeShadow: by a rule that is not enforced
	CountDenial    Counted = "denial"    // by the code of the decision; each attempt is one
	CountUndecided Counted = "undecided" // asks that were left to the failure policy of the server; without a code
	CountEviction  Counted = "eviction"  // sessions that were to go, by the code of the eviction
	CountEnd       Counted = "end"       // of sessions, by its reason
	CountTook      Counted = "took"      // asks that were decided, by how long that took: see TookCode
)

// CodeShadow is the code of a login that a rule would have denied, were it enforced.
const CodeShadow = "shadow"

// endReasons are the reasons of ends that are told apart; any other is "other".
var endReasons = []string{"takeover", "own_reconnect", "kick", "rule", "expired", "blocked", "replaced", "logout", "lost", "vanished", "abandoned"}

// Count is one thing that happened.
type Count struct {
	Of   Counted
	Code string
}

// Count notes that something happened to be counted, once the transaction is committed.
func (r *Record) Count(of Counted, code string) { r.counts = append(r.counts, Count{of, code}) }

// Counts returns what was counted.
func (r *Record) Counts() []Count {
	if r.discarded {
		return nil
	}
	return r.counts
}

// CountEnded notes the end of a session for its reason, which may be a server's own word.
func (r *Record) CountEnded(reason string) {
	if !slices.Contains(endReasons, reason) {
		reason = "other"
	}
	r.Count(CountEnd, reason)
}

// Tally is how often what happened.
type Tally map[Count]int64

// MarshalJSON writes a tally as one object.
func (t Tally) MarshalJSON() ([]byte, error) {
	flat := make(map[string]int64, len(t))
	for c, n := range t {
		flat[string(c.Of)+"/"+c.Code] = n
	}
	return json.Marshal(flat)
}

// AddTallies adds what was counted since the last time, by domain, to the present minute, quarter and hour by the database's clock. With nothing counted it says that
// somebody is there to count. Any number of processes may add at once.
func (s *Store) AddTallies(ctx context.Context, by map[string]Tally) error {
	all := Tally{}
	for _, t := range by {
		for c, n := range t {
			all[c] += n
		}
	}
	by = maps.Clone(by)
	if by == nil {
		by = map[string]Tally{}
	}
	by[""] = all
	var domains, counts []string
	for _, domain := range slices.Sorted(maps.Keys(by)) { // in one order: nobody waits for who waits for him
		b, err := json.Marshal(by[domain])
		if err != nil {
			return fmt.Errorf("add tallies: %w", err)
		}
		domains, counts = append(domains, domain), append(counts, string(b))
	}
	_, err := s.pool.Exec(ctx, `insert into tallies (domain, seconds, at, counts)
		select u.domain, p.seconds, `+stepOf("clock.now")+`, u.counts::jsonb
			from unnest($1::text[], $2::text[]) u(domain, counts), `+tallySteps+`, (select clock_timestamp() as now offset 0) clock order by 1, 2
		on conflict (domain, seconds, at) do update set counts = (select coalesce(jsonb_object_agg(key, n), '{}') from (select key, sum(value::bigint) as n
			from (select * from jsonb_each_text(tallies.counts) union all select * from jsonb_each_text(excluded.counts)) both_of_them group by key) added)`, domains, counts)
	if err != nil {
		return fmt.Errorf("add tallies: %w", err)
	}
	return nil
}
