package store_test

import (
	"errors"
	"fmt"
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

var onDashboard = store.Actor{Via: store.ViaDashboard, Address: "192.0.2.1"}

func logIn(t *testing.T, st *store.Store, n store.NewLogin) (store.LoginToken, store.Login) {
	t.Helper()
	token, l, err := st.StartLogin(t.Context(), n, onDashboard)
	if err != nil {
		t.Fatalf("log in: %v", err)
	}
	return token, l
}

func TestALoginEndsWithWhatItStoodFor(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	addUser(t, st, store.NewUser{Name: "root", Role: store.RoleAdmin})
	u := addUser(t, st, store.NewUser{Name: "ada", Role: store.RoleViewer})
	stands := func(token store.LoginToken) bool {
		t.Helper()
		_, who, err := st.FindLogin(t.Context(), token, true)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			t.Fatal(err)
		}
		return err == nil && who.Name == "ada"
	}
	admin, domains, yes, no := store.RoleAdmin, []string{"example.org"}, true, false
	change := func(c store.UserChange) func() error {
		return func() error { _, err := st.ChangeUser(t.Context(), u.ID, c, byHand); return err }
	}
	for _, c := range []struct {
		name string
		do   func() error
	}{
		{"role", change(store.UserChange{Role: &admin})},
		{"domains", change(store.UserChange{Domains: &domains})},
		{"disabled", change(store.UserChange{Disabled: &yes})},
		{"password", func() error { _, err := st.SetPassword(t.Context(), u.ID, "other", false, byHand); return err }},
		{"ended by hand", func() error { return st.EndLogins(t.Context(), u.ID, 0, byHand) }},
		{"too old", func() error {
			_, err := pool.Exec(t.Context(), "update logins set expires_at = clock_timestamp()")
			return err
		}},
		{"unused", func() error {
			_, err := pool.Exec(t.Context(), "update logins set seen_at = clock_timestamp() - $1::interval", store.LoginIdle)
			return err
		}},
		{"removed", func() error { return st.RemoveUser(t.Context(), u.ID, byHand) }},
	} {
		token, _ := logIn(t, st, store.NewLogin{User: u.ID})
		if !stands(token) {
			t.Fatalf("%s: the login does not stand before it", c.name)
		}
		if err := c.do(); err != nil {
			t.Fatalf("%s: %v", c.name, err)
		}
		if stands(token) {
			t.Errorf("%s: the login still stands", c.name)
		}
		if c.name == "disabled" {
			if _, _, err := st.StartLogin(t.Context(), store.NewLogin{User: u.ID}, onDashboard); !errors.Is(err, store.ErrNotFound) {
				t.Errorf("a disabled user logs in: %v", err)
			}
			if err := change(store.UserChange{Disabled: &no})(); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func TestALoginIsOfThePasswordThatWasChecked(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	u := addUser(t, st, store.NewUser{Name: "ada", Role: store.RoleAdmin})
	if _, err := st.SetPassword(t.Context(), u.ID, "new", false, byHand); err != nil {
		t.Fatal(err)
	}
	if _, _, err := st.StartLogin(t.Context(), store.NewLogin{User: u.ID, Password: "hash of ada"}, onDashboard); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("with the password of before: %v, want ErrNotFound", err)
	}
	had, _ := logIn(t, st, store.NewLogin{User: u.ID, Password: "new"})
	other, _ := logIn(t, st, store.NewLogin{User: u.ID, Password: "new"})
	ended, l := logIn(t, st, store.NewLogin{User: u.ID, Password: "new"})
	if err := st.EndLogin(t.Context(), u.ID, l.ID, byHand); err != nil {
		t.Fatal(err)
	}
	for name, try := range map[string]struct {
		checked store.PasswordHash
		had     store.LoginToken
	}{"a password that was reset meanwhile": {"hash of ada", had}, "a login that was ended meanwhile": {"new", ended}} {
		if _, _, err := st.ReplacePassword(t.Context(), u.ID, try.checked, "a thief's", store.NewLogin{Had: try.had}, onDashboard); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("replace by %s: %v, want ErrNotFound", name, err)
		}
	}
	if _, hash, err := st.FindPassword(t.Context(), "ada"); err != nil || hash != "new" {
		t.Errorf("the password was replaced all the same, or %v", err)
	}
	token, _, err := st.ReplacePassword(t.Context(), u.ID, "new", "newer", store.NewLogin{Had: had}, onDashboard)
	if err != nil || token == had {
		t.Fatalf("replace: %v, or the token is the same", err)
	}
	for name, gone := range map[string]store.LoginToken{"its own of before": had, "another": other} {
		if _, _, err := st.FindLogin(t.Context(), gone, true); !errors.Is(err, store.ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", name, err)
		}
	}
	if _, _, err := st.FindLogin(t.Context(), token, true); err != nil {
		t.Errorf("the new one: %v", err)
	}
}

func TestLoginsAreListedAndEnded(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	u := addUser(t, st, store.NewUser{Name: "ada", Role: store.RoleAdmin})
	other := addUser(t, st, store.NewUser{Name: "bob", Role: store.RoleAdmin})
	tokens := map[int64]store.LoginToken{}
	var last store.Login
	for i := range 52 {
		var token store.LoginToken
		token, last = logIn(t, st, store.NewLogin{User: u.ID, Address: fmt.Sprintf("192.0.2.%d", i), UserAgent: "Firefox"})
		tokens[last.ID] = token
	}
	list, err := st.ListLogins(t.Context(), u.ID)
	if err != nil || len(list) != 50 || list[0].ID != last.ID || list[0].Address != "192.0.2.51" || list[0].UserAgent != "Firefox" {
		t.Fatalf("%d logins, the first %+v, %v; want 50, the last one first", len(list), list[0], err)
	}
	if err := st.EndLogin(t.Context(), other.ID, list[1].ID, byHand); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("another's login: %v, want ErrNotFound", err)
	}
	if err := st.EndLogin(t.Context(), u.ID, list[1].ID, byHand); err != nil {
		t.Error(err)
	}
	if _, _, err := st.FindLogin(t.Context(), tokens[list[1].ID], true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("an ended login: %v", err)
	}
	if err := st.EndLogins(t.Context(), u.ID, last.ID, byHand); err != nil {
		t.Error(err)
	}
	if list, err = st.ListLogins(t.Context(), u.ID); err != nil || len(list) != 1 || list[0].ID != last.ID {
		t.Errorf("all but one are ended: %+v, %v", list, err)
	}
	var token []byte
	if err := pool.QueryRow(t.Context(), "select token from logins").Scan(&token); err != nil || len(token) != 32 {
		t.Errorf("kept is the SHA-256 of the token: %d bytes, %v", len(token), err)
	}
}

func TestUseIsNoticedOfPeopleAlone(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	u := addUser(t, st, store.NewUser{Name: "ada", Role: store.RoleAdmin})
	token, _ := logIn(t, st, store.NewLogin{User: u.ID})
	if _, err := pool.Exec(t.Context(), "update logins set seen_at = clock_timestamp() - interval '1 hour'"); err != nil {
		t.Fatal(err)
	}
	seen := func(active bool) time.Duration {
		t.Helper()
		if _, _, err := st.FindLogin(t.Context(), token, active); err != nil {
			t.Fatal(err)
		}
		list, err := st.ListLogins(t.Context(), u.ID)
		if err != nil || len(list) != 1 {
			t.Fatalf("%+v, %v", list, err)
		}
		return time.Since(list[0].SeenAt)
	}
	if ago := seen(false); ago < time.Hour/2 {
		t.Errorf("a page by itself is use: %v ago", ago)
	}
	if ago := seen(true); ago > time.Hour/2 {
		t.Errorf("a person is no use: %v ago", ago)
	}
}

var (
	here      = netip.MustParsePrefix("192.0.2.1/32")
	elsewhere = netip.MustParsePrefix("198.51.100.1/32")
)

// fail makes attempts until one is refused, and returns how many were not.
func fail(t *testing.T, st *store.Store, a store.LoginAttempt, most int) (n int, wait time.Duration) {
	t.Helper()
	for n = range most {
		_, wait, err := st.TryLogin(t.Context(), a)
		if err != nil {
			t.Fatal(err)
		}
		if wait > 0 {
			return n, wait
		}
	}
	return most, 0
}

func TestAttemptsAreSlowedDown(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	a := store.LoginAttempt{Name: "ada", Network: here}
	n, wait := fail(t, st, a, 100)
	if n != 5 || wait <= 0 || wait > 2*time.Second {
		t.Errorf("%d were free, then a wait of %v; want 5 and 2 s", n, wait)
	}
	if n, _ := fail(t, st, store.LoginAttempt{Name: "ada", Network: elsewhere}, 1); n != 1 {
		t.Error("the user, elsewhere, is refused")
	}
	if n, _ := fail(t, st, store.LoginAttempt{Name: "bob", Network: here}, 1); n != 1 {
		t.Error("another user, here, is refused")
	}
	// Refused ones do not make it longer; one after the wait does.
	for want := 2 * time.Second; want < 10*time.Second; want *= 2 {
		if _, wait := fail(t, st, a, 1); wait > want {
			t.Errorf("wait %v, want %v at most", wait, want)
		}
		if _, err := pool.Exec(t.Context(), "update login_attempts set refused_until = clock_timestamp()"); err != nil {
			t.Fatal(err)
		}
		if n, wait := fail(t, st, a, 1); n != 1 {
			t.Errorf("refused for another %v after the wait", wait)
		}
		if _, wait := fail(t, st, a, 1); wait <= want || wait > 2*want {
			t.Errorf("the next wait is %v, want %v", wait, 2*want)
		}
	}
	if _, err := pool.Exec(t.Context(), "update login_attempts set failures = 1000000, refused_until = clock_timestamp()"); err != nil {
		t.Fatal(err)
	}
	if n, _ := fail(t, st, a, 1); n != 1 {
		t.Error("refused for ever")
	}
	if _, wait := fail(t, st, a, 1); wait > 5*time.Minute {
		t.Errorf("after a million failures: %v, want 5 minutes at most", wait)
	}
	if _, err := pool.Exec(t.Context(), "update login_attempts set last_at = last_at - interval '2 hours', refused_until = clock_timestamp()"); err != nil {
		t.Fatal(err)
	}
	if n, _ := fail(t, st, a, 5); n != 5 {
		t.Errorf("an hour later %d are free, want 5", n)
	}
}

func TestParallelGuessesAreNoFaster(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	var let atomic.Int32
	var group errgroup.Group
	for range 40 {
		group.Go(func() error {
			_, wait, err := st.TryLogin(t.Context(), store.LoginAttempt{Name: "ada", Network: here})
			if wait == 0 && err == nil {
				let.Add(1)
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if let.Load() != 5 {
		t.Errorf("%d of 40 at once were let through, want 5", let.Load())
	}
}

func TestStrangersDoNotKeepTheUserOut(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	u := addUser(t, st, store.NewUser{Name: "ada", Role: store.RoleAdmin})
	known := store.NewLoginToken()
	logIn(t, st, store.NewLogin{User: u.ID, Browser: known})
	for i := range 20 { // from everywhere
		for range 5 {
			if _, _, err := st.TryLogin(t.Context(), store.LoginAttempt{Name: "ada", Network: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), 32)}); err != nil {
				t.Fatal(err)
			}
		}
	}
	if _, wait := fail(t, st, store.LoginAttempt{Name: "ada", Network: elsewhere}, 1); wait == 0 || wait > time.Minute {
		t.Errorf("guesses from everywhere: the next waits %v, want up to a minute", wait)
	}
	mine := store.LoginAttempt{Name: "ada", Network: elsewhere, Browser: known}
	counted, wait, err := st.TryLogin(t.Context(), mine)
	if err != nil || wait > 0 {
		t.Fatalf("the user's own browser: wait %v, %v", wait, err)
	}
	if err := st.ForgiveLogin(t.Context(), counted, true); err != nil {
		t.Fatal(err)
	}
	if n, _ := fail(t, st, mine, 100); n != 5 {
		t.Errorf("in the user's own browser %d are free, want 5", n)
	}
	if _, wait := fail(t, st, store.LoginAttempt{Name: "bob", Network: elsewhere, Browser: known}, 1); wait != 0 {
		t.Errorf("another name in that browser: %v", wait)
	}
	if _, err := st.SetPassword(t.Context(), u.ID, "new", false, byHand); err != nil {
		t.Fatal(err)
	}
	if _, wait := fail(t, st, mine, 1); wait == 0 {
		t.Error("a browser is known by a password that is no more")
	}
}

func TestSuccessIsForgiven(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	a := store.LoginAttempt{Name: "ada", Network: here}
	for range 100 {
		counted, wait, err := st.TryLogin(t.Context(), a)
		if err != nil || wait > 0 {
			t.Fatalf("wait %v, %v", wait, err)
		}
		if err := st.ForgiveLogin(t.Context(), counted, true); err != nil {
			t.Fatal(err)
		}
	}
	if n, _ := fail(t, st, a, 100); n != 5 {
		t.Errorf("%d are free after a success, want 5", n)
	}
}
