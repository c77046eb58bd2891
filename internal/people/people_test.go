package people_test

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

const good = "correct horse battery"

var by = store.Actor{Via: store.ViaCLI, Subject: "test"}

func newPeople(t *testing.T) (*people.People, *store.Store, *strings.Builder) {
	t.Helper()
	st := store.FromPool(pgtest.New(t))
	var logged strings.Builder
	p, err := people.New(st, slog.New(slog.NewTextHandler(&logged, nil)))
	if err != nil {
		t.Fatal(err)
	}
	return p, st, &logged
}

func from(address string) people.Browser {
	return people.Browser{Address: netip.MustParseAddr(address), UserAgent: "test"}
}

func TestNameHasOneForm(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("é", 64)
	for in, want := range map[string]string{
		"ada": "ada", "ADA": "ada", "ＡＤＡ": "ada", "ada@example.org": "ada@example.org", "Ärger": "ärger", "A\u0308rger": "ärger", "山田": "山田", "x-1_2.3+4": "x-1_2.3+4", long: long,
	} {
		if got, err := people.Name(in); got != want || err != nil {
			t.Errorf("Name(%q) = %q, %v, want %q", in, got, err, want)
		}
	}
	for _, in := range []string{"", " ", "a b", "a\x00", "a\n", "\xff", "a\u200b", "a\u202eb", "a\u00a0b", "♥", long + "e", strings.Repeat("a", 1<<20)} {
		if got, err := people.Name(in); !errors.Is(err, people.ErrName) {
			t.Errorf("Name(%.20q) = %q, %v, want ErrName", in, got, err)
		}
	}
}

func TestPasswordsThatAreRefused(t *testing.T) {
	t.Parallel()
	p, _, _ := newPeople(t)
	for password, want := range map[string]error{
		"":                             people.PasswordShort,
		"123456789":                    people.PasswordShort,
		"äöüäöüäöü":                    people.PasswordShort, // 9 characters, 18 bytes
		strings.Repeat("abcdefg", 147): people.PasswordLong,
		strings.Repeat("a", 1<<20):     people.PasswordLong,
		"correct\x00horse":             people.PasswordControl,
		"correct\nhorse":               people.PasswordControl,
		"correct\xffhorse":             people.PasswordControl,
		"Password123":                  people.PasswordCommon,
		"aaaaaaaaaaaa":                 people.PasswordCommon,
		"abcabcabcabc":                 people.PasswordCommon,
		"1234567890":                   people.PasswordCommon,
		"0987654321":                   people.PasswordCommon,
		"abcdefghijkl":                 people.PasswordCommon,
		"victoriavictoria":             people.PasswordCommon,
	} {
		_, err := p.Add(t.Context(), people.Newcomer{Name: "Victoria", Role: store.RoleViewer}, password, by)
		if !errors.Is(err, want) {
			t.Errorf("%.20q: %v, want %v", password, err, want)
		}
	}
	for i, password := range []string{good, "電池電池ありがとう馬です", "🐴🔋🐴🔋🐴🔋🐴🔋✅🐴", strings.Repeat("abcdefg", 146) + "xy", "2468101214"} {
		if _, err := p.Add(t.Context(), people.Newcomer{Name: "u" + string(rune('a'+i)), Role: store.RoleViewer}, password, by); err != nil {
			t.Errorf("%.20q: %v", password, err)
		}
	}
}

func TestLogin(t *testing.T) {
	t.Parallel()
	p, st, logged := newPeople(t)
	if _, err := p.Add(t.Context(), people.Newcomer{Name: "ada", Role: store.RoleAdmin}, "cafe\u0301 au\u00a0lait", by); err != nil {
		t.Fatal(err)
	}
	in, err := p.Login(t.Context(), "ADA", "café au lait", from("192.0.2.1"))
	if err != nil {
		t.Fatalf("typed on another keyboard: %v", err)
	}
	l, u, err := st.FindLogin(t.Context(), in.Token, true)
	if err != nil || u.Name != "ada" || l.Address != "192.0.2.1" || l.UserAgent != "test" || u.LastLoginAt.IsZero() {
		t.Errorf("%+v, %+v, %v", l, u, err)
	}
	again := from("192.0.2.1")
	again.Token, again.Known, again.UserAgent = in.Token, in.Known, strings.Repeat("\x00ä", 1<<18)
	next, err := p.Login(t.Context(), "ada", "café au lait", again)
	if err != nil || next.Token == in.Token {
		t.Errorf("a second login has the token of the first, or %v", err)
	}
	if _, _, err := st.FindLogin(t.Context(), in.Token, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the browser's login of before still stands: %v", err)
	}
	for name, c := range map[string][2]string{
		"password": {"ada", "cafe au lait"}, "name": {"bob", "café au lait"}, "NUL": {"ada\x00", "café au lait"}, "UTF-8": {"\xff", "\xff"}, "empty": {"", ""},
		"huge": {strings.Repeat("a", 1<<20), strings.Repeat("b", 1<<20)}, "the hash of none": {"bob", ""},
	} {
		if _, err := p.Login(t.Context(), c[0], c[1], from("198.51.100.1")); !errors.Is(err, people.ErrWrong) {
			t.Errorf("%s: %v, want ErrWrong", name, err)
		}
	}
	if strings.Contains(logged.String(), "bob") || strings.Contains(logged.String(), "lait") || !strings.Contains(logged.String(), "198.51.100.1") {
		t.Errorf("the log has to name the address, and neither name nor password: %s", logged)
	}
}

func TestLoginIsSlowedDownForNamesThatDoNotExistToo(t *testing.T) {
	t.Parallel()
	p, st, _ := newPeople(t)
	if _, err := p.Add(t.Context(), people.Newcomer{Name: "ada", Role: store.RoleAdmin}, good, by); err != nil {
		t.Fatal(err)
	}
	for i, name := range []string{"ada", "nobody"} {
		at := from([]string{"192.0.2.1", "192.0.2.2"}[i])
		var waits *people.WaitError
		n := 0
		for ; n < 10; n++ {
			_, err := p.Login(t.Context(), name, "wrong", at)
			if errors.As(err, &waits) {
				break
			}
			if !errors.Is(err, people.ErrWrong) {
				t.Fatal(err)
			}
		}
		if n < 5 || waits == nil || waits.Seconds() < 1 || waits.Seconds() > 60 { // a slow machine spends the first waits with the attempts themselves
			t.Errorf("%s: refused after %d, %v; want 5 or a few more", name, n, waits)
		}
		if _, err := st.Pool().Exec(t.Context(), "update login_attempts set refused_until = now() + interval '1 minute' where subject like 'pair %'"); err != nil {
			t.Fatal(err)
		}
		if _, err := p.Login(t.Context(), name, good, at); !errors.As(err, &waits) {
			t.Errorf("%s: the right password while one has to wait: %v", name, err)
		}
	}
	if _, err := p.Login(t.Context(), "ada", good, from("2001:db8::1")); err != nil {
		t.Errorf("elsewhere: %v", err)
	}
}

// Whoever breaks an attempt off before it is answered has made it: else a crowd of them would never have to wait.
func TestAnAttemptThatIsBrokenOffCounts(t *testing.T) {
	t.Parallel()
	p, st, _ := newPeople(t)
	if _, err := p.Add(t.Context(), people.Newcomer{Name: "ada", Role: store.RoleAdmin}, good, by); err != nil {
		t.Fatal(err)
	}
	in, err := p.Login(t.Context(), "ada", good, from("198.51.100.1"))
	if err != nil {
		t.Fatal(err)
	}
	_, user, err := st.FindLogin(t.Context(), in.Token, true)
	if err != nil {
		t.Fatal(err)
	}
	free := p.Hold()
	defer free()
	for what, attempt := range map[string]func(context.Context, people.Browser) error{
		"login": func(ctx context.Context, b people.Browser) error {
			_, err := p.Login(ctx, "ada", "wrong", b)
			return err
		},
		"change": func(ctx context.Context, b people.Browser) error {
			_, err := p.ChangePassword(ctx, user, "wrong", good+"!", b)
			return err
		},
	} {
		at := from(map[string]string{"login": "192.0.2.1", "change": "192.0.2.2"}[what])
		var waits *people.WaitError
		for n := 0; !errors.As(err, &waits); n++ {
			if n == 8 {
				t.Errorf("%s: %d attempts that were broken off, and no wait: %v", what, n, err)
				break
			}
			ctx, breakOff := context.WithCancel(t.Context())
			done := make(chan error, 1)
			go func() { done <- attempt(ctx, at) }()
			ended := false
			for deadline := time.Now().Add(20 * time.Second); p.Waiting() == 0 && !ended; {
				select {
				case err = <-done: // refused at once
					ended = true
				case <-time.After(time.Millisecond):
					if time.Now().After(deadline) {
						t.Fatalf("%s: the attempt neither waits nor ends", what)
					}
				}
			}
			breakOff()
			if !ended {
				err = <-done
			}
		}
		err = nil
	}
}

// A form that is sent twice, of which the browser shows the second answer, makes one user with one password.
func TestAOneTimePasswordIsTheForms(t *testing.T) {
	t.Parallel()
	p, st, _ := newPeople(t)
	n := people.Newcomer{Name: "ada", Role: store.RoleViewer}
	form := people.Form{User: 1, Key: "ABCDEFGHIJKLMNOPQRSTUVWXYZ"}
	u, first, err := p.Invite(t.Context(), n, form, by)
	if err != nil {
		t.Fatal(err)
	}
	if again, second, err := p.Invite(t.Context(), n, form, by); err != nil || second != first || again.ID != u.ID {
		t.Errorf("again: %+v, %v; the same password: %t", again, err, second == first)
	}
	for what, c := range map[string]struct {
		n people.Newcomer
		f people.Form
	}{
		"another form":   {n, people.Form{User: 1, Key: "ABCDEFGHIJKLMNOPQRSTUVWXYA"}},
		"another sender": {n, people.Form{User: 2, Key: form.Key}},
		"another role":   {people.Newcomer{Name: "ada", Role: store.RoleAdmin}, form},
		"no form":        {n, people.Form{}},
	} {
		if _, _, err := p.Invite(t.Context(), c.n, c.f, by); !errors.Is(err, store.ErrTaken) {
			t.Errorf("%s: %v, want ErrTaken", what, err)
		}
	}
	reset, err := p.ResetPassword(t.Context(), u.ID, form, by)
	if err != nil || reset == first {
		t.Errorf("a reset gives the password of before, or %v", err)
	}
	if again, err := p.ResetPassword(t.Context(), u.ID, form, by); err != nil || again != reset {
		t.Errorf("a reset, again: another password, or %v", err)
	}
	if err := p.SetPassword(t.Context(), u, good, by); err != nil {
		t.Fatal(err)
	}
	if _, _, err := p.Invite(t.Context(), n, form, by); !errors.Is(err, store.ErrTaken) {
		t.Errorf("a user with a password of its own: %v, want ErrTaken", err)
	}
	if n, err := st.ListUsers(t.Context(), "", 10); err != nil || len(n) != 1 {
		t.Errorf("%d users, %v", len(n), err)
	}
}

func TestACrowdIsTurnedAwayWithoutHarm(t *testing.T) {
	t.Parallel()
	p, _, _ := newPeople(t)
	if _, err := p.Add(t.Context(), people.Newcomer{Name: "ada", Role: store.RoleAdmin}, good, by); err != nil {
		t.Fatal(err)
	}
	var group errgroup.Group
	results := make(chan error, 150)
	for i := range cap(results) {
		group.Go(func() error {
			_, err := p.Login(t.Context(), "ada", good, people.Browser{Address: netip.AddrFrom4([4]byte{10, 0, 1, byte(i)})})
			results <- err
			return nil
		})
	}
	_ = group.Wait()
	close(results)
	var waits *people.WaitError
	for err := range results {
		if err != nil && !errors.Is(err, people.ErrBusy) && !errors.As(err, &waits) {
			t.Errorf("%v, want a login, ErrBusy or a wait", err)
		}
	}
	if _, err := p.Login(t.Context(), "ada", good, from("192.0.2.9")); err != nil {
		t.Errorf("after it: %v", err)
	}
}

func TestChangePassword(t *testing.T) {
	t.Parallel()
	p, st, _ := newPeople(t)
	u, once, err := p.Invite(t.Context(), people.Newcomer{Name: "ada", Role: store.RoleViewer, Domains: []string{"Example.ORG", "example.org"}}, people.Form{}, by)
	if err != nil || !u.MustChange || len(u.Domains) != 1 || u.Domains[0] != "example.org" {
		t.Fatalf("%+v, %v", u, err)
	}
	here := from("192.0.2.1")
	in, err := p.Login(t.Context(), "ada", once, here)
	if err != nil {
		t.Fatal(err)
	}
	here.Token, here.Known = in.Token, in.Known
	if _, err := p.ChangePassword(t.Context(), u, "", once, here); !errors.Is(err, people.ErrSame) {
		t.Errorf("the one-time password for good: %v, want ErrSame", err)
	}
	if _, err := p.ChangePassword(t.Context(), u, "", "short", here); !errors.Is(err, people.PasswordShort) {
		t.Errorf("a short one: %v", err)
	}
	next, err := p.ChangePassword(t.Context(), u, "", good, here)
	if err != nil || next.Token == in.Token {
		t.Fatalf("change: %v, or the token is the same", err)
	}
	if _, _, err := st.FindLogin(t.Context(), in.Token, true); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("the token of before: %v", err)
	}
	if _, err := p.Login(t.Context(), "ada", once, from("192.0.2.1")); !errors.Is(err, people.ErrWrong) {
		t.Errorf("the one-time password again: %v", err)
	}
	_, u, err = st.FindLogin(t.Context(), next.Token, true)
	if err != nil || u.MustChange {
		t.Fatalf("%+v, %v", u, err)
	}
	here.Token, here.Known = next.Token, next.Known
	var waits *people.WaitError
	for range 10 {
		if _, err = p.ChangePassword(t.Context(), u, "wrong", "another good one", here); errors.As(err, &waits) {
			break
		}
		if !errors.Is(err, people.ErrWrong) {
			t.Fatalf("with a wrong old password: %v", err)
		}
	}
	if waits == nil {
		t.Error("guesses of the old password are not slowed down")
	}
}

func TestFirst(t *testing.T) {
	t.Parallel()
	p, st, _ := newPeople(t)
	found := make(chan string, 6)
	var group errgroup.Group
	for range cap(found) {
		group.Go(func() error {
			password, err := p.First(t.Context())
			found <- password
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	close(found)
	var one string
	for password := range found {
		if password != "" && one != "" {
			t.Error("two processes made it")
		}
		one += password
	}
	if _, err := p.Login(t.Context(), "admin", one, from("192.0.2.1")); err != nil {
		t.Errorf("with %q: %v", one, err)
	}
	if u, err := st.FindUser(t.Context(), "admin"); err != nil || !u.Unlimited() || !u.MustChange {
		t.Errorf("%+v, %v", u, err)
	}
	again, err := p.FirstAgain(t.Context())
	if err != nil || again == "" || again == one {
		t.Errorf("a demonstration again: %q, %v", again, err)
	}
	u, err := st.FindUser(t.Context(), "admin")
	if err != nil {
		t.Fatal(err)
	}
	if err := p.SetPassword(t.Context(), u, good, by); err != nil {
		t.Fatal(err)
	}
	if again, err := p.FirstAgain(t.Context()); again != "" || err != nil {
		t.Errorf("after a password was chosen: %q, %v", again, err)
	}
}
