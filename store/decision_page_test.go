package store_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

// decided is a decision on record, by what it is known by in a list.
type decided struct {
	jid      string
	at       time.Time
	code     string
	outcome  string
	platform string
}

// decide puts decisions on record: n of accounts of two domains, in crowds with long pauses between them, some at one time.
func decide(t *testing.T, st *store.Store, n int) (all []decided) {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	at := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	var rows [][]any
	for i := range n {
		switch {
		case i%997 == 0:
			at = at.Add(30 * time.Hour)
		case i%3 > 0:
			at = at.Add(time.Duration(r.IntN(2000)) * time.Microsecond)
		}
		d := decided{jid: fmt.Sprintf("u%d@%s.example", i%500, []string{"a", "b", "b", "b"}[i%4]), at: at, code: "ok", outcome: "allow", platform: []string{"ios", "web"}[i%2]}
		if i%700 == 0 {
			d.code, d.outcome = "limit", "deny"
		}
		all = append(all, d)
		key := store.KeyOf(d.jid)
		rows = append(rows, []any{key[:], d.at, "", "phone", d.platform, d.outcome, d.code, []int64{}, "default", []string{}, "", false})
	}
	exec := func(sql string) {
		if _, err := st.Pool().Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	_, err := st.Pool().CopyFrom(t.Context(), pgx.Identifier{"decisions"}, []string{"account", "at", "ask_id", "resource", "platform", "outcome", "code", "evicted", "rule_level", "explanation", "condition", "shadow"},
		pgx.CopyFromRows(rows))
	if err != nil {
		t.Fatal(err)
	}
	for domain := range 2 {
		for i := range 500 {
			jid := fmt.Sprintf("u%d@%s.example", i, []string{"a", "b"}[domain])
			if _, err := st.Pool().Exec(t.Context(), "insert into accounts (key, jid, domain) values ($1, $2, split_part($2, '@', 2))", store.KeyOf(jid), jid); err != nil {
				t.Fatal(err)
			}
		}
	}
	exec("vacuum analyze decisions") // which has the index know of all
	slices.SortFunc(all, func(x, y decided) int {
		kx, ky := store.KeyOf(x.jid), store.KeyOf(y.jid)
		if c := y.at.Compare(x.at); c != 0 {
			return c
		}
		return slices.Compare(ky[:], kx[:])
	})
	return all
}

// Page by page a list has every decision that fits exactly once, the newest first, however they are spread over time.
func TestListAllDecisions(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	all := decide(t, st, 30000)
	middle := all[15000].at
	for name, test := range map[string]struct {
		filter store.DecisionFilter
		fits   func(decided) bool
	}{
		"all":             {store.DecisionFilter{Limit: 499}, func(decided) bool { return true }},
		"denials":         {store.DecisionFilter{Limit: 7, Outcome: "deny"}, func(d decided) bool { return d.outcome == "deny" }},
		"a code":          {store.DecisionFilter{Limit: 50, Code: "limit"}, func(d decided) bool { return d.code == "limit" }},
		"platforms":       {store.DecisionFilter{Limit: 400, Platforms: []string{"ios", "x"}}, func(d decided) bool { return d.platform == "ios" }},
		"a domain":        {store.DecisionFilter{Limit: 450, Domains: []string{"a.example"}}, func(d decided) bool { return d.jid[len(d.jid)-9:] == "a.example" }},
		"no domain":       {store.DecisionFilter{Limit: 450, Domains: []string{}}, func(decided) bool { return false }},
		"before":          {store.DecisionFilter{Limit: 450, Until: middle}, func(d decided) bool { return d.at.Before(middle) }},
		"since":           {store.DecisionFilter{Limit: 450, Since: middle}, func(d decided) bool { return !d.at.Before(middle) }},
		"an empty time":   {store.DecisionFilter{Limit: 450, Since: middle, Until: middle}, func(decided) bool { return false }},
		"before the year": {store.DecisionFilter{Limit: 450, Until: time.Date(2, 1, 1, 0, 0, 0, 0, time.UTC)}, func(decided) bool { return false }},
		"after all":       {store.DecisionFilter{Limit: 450, Since: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, func(decided) bool { return false }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var want, got []decided
			for _, d := range all {
				if test.fits(d) {
					want = append(want, d)
				}
			}
			f := test.filter
			pages := 0
			for {
				page, err := st.ListAllDecisions(t.Context(), f)
				if err != nil {
					t.Fatal(err)
				}
				if len(page.Decisions) > f.Limit {
					t.Fatalf("a page of %d has %d", f.Limit, len(page.Decisions))
				}
				for _, d := range page.Decisions {
					got = append(got, decided{d.JID, d.At.UTC(), d.Code, d.Outcome, d.Platform})
				}
				if pages++; page.Next == nil || pages > 5000 {
					break
				}
				f.After = *page.Next
			}
			if !slices.Equal(got, want) {
				t.Errorf("%d decisions on %d pages, want %d", len(got), pages, len(want))
			}
		})
	}
}

// What is erased leaves no hole that ends the list.
func TestListAllDecisionsOfWhomNobodyKnows(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	all := decide(t, st, 3000)
	if _, err := st.Pool().Exec(t.Context(), "delete from accounts where key = any($1)", [][]byte{keyOf(all[0].jid), keyOf(all[1].jid), keyOf(all[2].jid)}); err != nil {
		t.Fatal(err)
	}
	gone := []string{all[0].jid, all[1].jid, all[2].jid}
	want, got := 0, 0
	for _, d := range all {
		if !slices.Contains(gone, d.jid) {
			want++
		}
	}
	for f := (store.DecisionFilter{Limit: 2}); ; {
		page, err := st.ListAllDecisions(t.Context(), f)
		if err != nil {
			t.Fatal(err)
		}
		got += len(page.Decisions)
		if page.Next == nil {
			break
		}
		f.After = *page.Next
	}
	if got != want {
		t.Errorf("%d, want %d", got, want)
	}
}

func keyOf(jid string) []byte { k := store.KeyOf(jid); return k[:] }
