package store_test

import (
	"errors"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

func anyVersion(*store.KeptRule) error { return nil }

func change(scope store.RuleScope, check store.RuleCheck) store.RuleChange {
	return store.RuleChange{RuleScope: scope, By: store.Actor{Subject: "me"}, Check: check}
}

func TestPutRuleWritesRuleRevisionAndEventTogether(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	scope := store.RuleScope{Level: rules.LevelAccount, Subject: "ada@example.org"}
	one := 1
	rule := rules.Rule{MaxSessions: rules.Of(&one)}

	count := func(sql string) (n int) {
		t.Helper()
		if err := pool.QueryRow(t.Context(), sql).Scan(&n); err != nil {
			t.Fatal(err)
		}
		return n
	}
	refuse := errors.New("not this version")
	if _, _, _, err := st.PutRule(t.Context(), change(scope, func(*store.KeptRule) error { return refuse }), rule, time.Time{}); !errors.Is(err, refuse) {
		t.Errorf("a refused change: %v", err)
	}
	if count(`select count(*) from accounts`) != 0 || count(`select count(*) from event_queue`) != 0 || count(`select count(*) from rules`) != 1 {
		t.Error("a refused change wrote something")
	}
	kept, created, job, err := st.PutRule(t.Context(), change(scope, anyVersion), rule, time.Time{})
	if err != nil || !created || job != 0 {
		t.Fatalf("created %v, job %d, %v", created, job, err)
	}
	if count(`select revision from accounts where jid = 'ada@example.org' and domain = 'example.org'`) != 1 || count(`select count(*) from event_queue`) != 1 {
		t.Error("the revision or the event is missing")
	}
	var seen *store.KeptRule
	again, created, _, err := st.PutRule(t.Context(), change(scope, func(k *store.KeptRule) error { seen = k; return nil }), rule, time.Time{})
	if err != nil || created || seen == nil || seen.Version != kept.Version || again.Version <= kept.Version {
		t.Errorf("again: created %v, saw %+v, version %d after %d, %v", created, seen, again.Version, kept.Version, err)
	}
	if _, err := st.DeleteRule(t.Context(), change(scope, anyVersion)); err != nil {
		t.Fatal(err)
	}
	if _, err := st.DeleteRule(t.Context(), change(scope, anyVersion)); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("a second DELETE: %v", err)
	}
	if n := count(`select revision from accounts`); n != 3 {
		t.Errorf("revision %d after three changes", n)
	}
}

func TestAccountRulesLeavesOutWhatHasExpired(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	scope := store.RuleScope{Level: rules.LevelAccount, Subject: "ada@example.org"}
	if _, _, _, err := st.PutRule(t.Context(), change(scope, anyVersion), rules.Rule{Enforce: rules.Of(false)}, time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	levels, own, err := st.AccountRules(t.Context(), "ada@example.org")
	if err != nil || own != nil || len(levels) != 1 || levels[0].Level != rules.LevelDefault {
		t.Errorf("%+v, %+v, %v", levels, own, err)
	}
	if _, err := st.FindRule(t.Context(), scope); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("FindRule: %v", err)
	}
	if _, created, _, err := st.PutRule(t.Context(), change(scope, func(k *store.KeptRule) error {
		if k != nil {
			t.Errorf("an expired rule is current: %+v", k)
		}
		return nil
	}), rules.Rule{}, time.Time{}); err != nil || !created {
		t.Errorf("created %v, %v", created, err)
	}
}
