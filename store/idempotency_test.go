package store_test

import (
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// keyed is one key on a database of its own.
type keyed struct {
	t  *testing.T
	st *store.Store
}

func (k keyed) claim(request string, lease time.Duration) (*store.Claim, error) {
	k.t.Helper()
	return k.st.ClaimKey(k.t.Context(), []byte("key"), []byte(request), nil, lease)
}

func (k keyed) must(request string, lease time.Duration) *store.Claim {
	k.t.Helper()
	c, err := k.claim(request, lease)
	if err != nil {
		k.t.Fatalf("claim for %s: %v", request, err)
	}
	return c
}

// put changes the default rule, which each time gets another version.
func (k keyed) put(c *store.Claim) (version int64, err error) {
	scope := store.RuleScope{Level: rules.LevelDefault}
	kept, _, _, err := k.st.PutRule(k.t.Context(), store.RuleChange{RuleScope: scope, By: store.Actor{Claim: c}, Check: anyVersion}, rules.Rule{}, time.Time{})
	return kept.Version, err
}

func (k keyed) entries() (n int) {
	k.t.Helper()
	if err := k.st.Pool().QueryRow(k.t.Context(), "select count(*) from audit").Scan(&n); err != nil {
		k.t.Fatal(err)
	}
	return n
}

func TestKeyIsForOneRequest(t *testing.T) {
	t.Parallel()
	k := keyed{t, store.FromPool(pgtest.New(t))}
	c := k.must("a", time.Minute)
	if _, err := k.claim("a", time.Minute); !errors.Is(err, store.ErrKeyInUse) {
		t.Errorf("the same request at once: %v", err)
	}
	if _, err := k.claim("b", time.Minute); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("another one: %v", err)
	}
	if err := k.st.KeepAnswer(t.Context(), c, []byte("answer")); err != nil {
		t.Fatal(err)
	}
	if got := k.must("a", time.Minute); string(got.Answer) != "answer" {
		t.Errorf("answer %q", got.Answer)
	}
	if _, err := k.claim("b", time.Minute); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("another one: %v", err)
	}
	if _, err := k.st.Pool().Exec(t.Context(), "update idempotency_keys set created_at = now() - interval '25 hours'"); err != nil {
		t.Fatal(err)
	}
	if got := k.must("b", time.Minute); got.Answer != nil {
		t.Error("a day later the key is still taken")
	}
}

// An attempt whose place another one has taken, or that was given up, changes nothing however late it comes.
func TestLateAttemptChangesNothing(t *testing.T) {
	t.Parallel()
	k := keyed{t, store.FromPool(pgtest.New(t))}
	frozen := k.must("a", -time.Second)
	heir := k.must("a", time.Minute)
	if _, err := k.put(frozen); !errors.Is(err, store.ErrClaimLost) {
		t.Errorf("the frozen attempt: %v", err)
	}
	if n := k.entries(); n != 0 {
		t.Errorf("%d entries", n)
	}
	if err := k.st.FreeKey(t.Context(), heir); err != nil {
		t.Fatal(err)
	}
	if _, err := k.put(heir); !errors.Is(err, store.ErrClaimLost) {
		t.Errorf("the attempt that was given up: %v", err)
	}
	if err := k.st.KeepAnswer(t.Context(), frozen, []byte("x")); !errors.Is(err, store.ErrClaimLost) {
		t.Errorf("its answer: %v", err)
	}
}

// What an attempt has changed before it died is not changed again, and is known.
func TestAttemptGoesOnWhereAnotherDied(t *testing.T) {
	t.Parallel()
	k := keyed{t, store.FromPool(pgtest.New(t))}
	dead := k.must("a", -time.Second)
	version, err := k.put(dead)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.put(dead); !errors.Is(err, store.ErrClaimLost) {
		t.Errorf("one attempt, two changes: %v", err)
	}
	if err := k.st.FreeKey(t.Context(), dead); err != nil {
		t.Fatal(err)
	}
	if _, err := k.claim("b", time.Minute); !errors.Is(err, store.ErrKeyReused) {
		t.Errorf("another request: %v", err)
	}
	heir := k.must("a", time.Minute)
	if got, err := k.put(heir); err != nil || got != version {
		t.Errorf("version %d, %v; it was %d", got, err, version)
	}
	if n := k.entries(); n != 1 {
		t.Errorf("%d entries", n)
	}
}

func TestKeyIsClaimedOnce(t *testing.T) {
	t.Parallel()
	k := keyed{t, store.FromPool(pgtest.New(t))}
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for range 50 {
		wg.Go(func() {
			_, err := k.claim("a", time.Minute)
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else if !errors.Is(err, store.ErrKeyInUse) {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d attempts got the key", won)
	}
}
