package store_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/internal/pgtest"
	"github.com/bindgate/bindgate/store"
)

var byHand = store.Actor{Via: store.ViaCLI, Subject: "root"}

func addUser(t *testing.T, st *store.Store, n store.NewUser) store.User {
	t.Helper()
	if n.Password == "" && n.Issuer == "" {
		n.Password = "hash of " + store.PasswordHash(n.Name)
	}
	u, err := st.AddUser(t.Context(), n, byHand)
	if err != nil {
		t.Fatalf("add %s: %v", n.Name, err)
	}
	return u
}

// actions are those of the audit, the first first.
func actions(t *testing.T, pool *pgxpool.Pool) (list []string) {
	t.Helper()
	rows, err := pool.Query(t.Context(), "select action || ' ' || target from audit order by id")
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			t.Fatal(err)
		}
		list = append(list, s)
	}
	return list
}

func TestUsersAreKeptAndAudited(t *testing.T) {
	t.Parallel()
	pool := pgtest.New(t)
	st := store.FromPool(pool)
	root := addUser(t, st, store.NewUser{Name: "root", Role: store.RoleAdmin})
	ada := addUser(t, st, store.NewUser{Name: "ada", Role: store.RoleViewer, Domains: []string{"example.org"}})
	if _, err := st.AddUser(t.Context(), store.NewUser{Name: "ada", Role: store.RoleAdmin}, byHand); !errors.Is(err, store.ErrTaken) {
		t.Errorf("a second ada: %v, want ErrTaken", err)
	}
	support, all := store.RoleSupport, []string(nil)
	changed, err := st.ChangeUser(t.Context(), ada.ID, store.UserChange{Role: &support, Domains: &all}, byHand)
	if err != nil || changed.Role != support || changed.Domains != nil {
		t.Errorf("changed: %+v, %v", changed, err)
	}
	if _, err := st.ChangeUser(t.Context(), ada.ID, store.UserChange{Role: &support}, byHand); err != nil {
		t.Errorf("a change to what is: %v", err)
	}
	if u, hash, err := st.FindPassword(t.Context(), "ada"); err != nil || u.Role != support || hash != "hash of ada" {
		t.Errorf("FindPassword: %+v, %v", u, err)
	}
	if u, err := st.SetPassword(t.Context(), ada.ID, "another", true, byHand); err != nil || !u.MustChange {
		t.Errorf("SetPassword: %+v, %v", u, err)
	}
	if list, err := st.ListUsers(t.Context(), "ada", 5); err != nil || len(list) != 1 || list[0].ID != root.ID {
		t.Errorf("behind ada: %+v, %v", list, err)
	}
	if err := st.RemoveUser(t.Context(), ada.ID, byHand); err != nil {
		t.Error(err)
	}
	if _, err := st.FindUser(t.Context(), "ada"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("ada is gone: %v, want ErrNotFound", err)
	}
	want := []string{"user.add root", "user.add ada", "user.change ada", "user.password ada", "user.remove ada"}
	if got := actions(t, pool); !slices.Equal(got, want) {
		t.Errorf("audit: %q, want %q", got, want)
	}
}

func TestTheLastAdminStays(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	one := addUser(t, st, store.NewUser{Name: "one", Role: store.RoleAdmin})
	addUser(t, st, store.NewUser{Name: "limited", Role: store.RoleAdmin, Domains: []string{"example.org"}})
	addUser(t, st, store.NewUser{Name: "viewer", Role: store.RoleViewer})
	viewer, some, yes, no := store.RoleViewer, []string{"example.org"}, true, false
	for name, c := range map[string]store.UserChange{"role": {Role: &viewer}, "domains": {Domains: &some}, "disabled": {Disabled: &yes}} {
		if _, err := st.ChangeUser(t.Context(), one.ID, c, byHand); !errors.Is(err, store.ErrLastAdmin) {
			t.Errorf("%s: %v, want ErrLastAdmin", name, err)
		}
	}
	if err := st.RemoveUser(t.Context(), one.ID, byHand); !errors.Is(err, store.ErrLastAdmin) {
		t.Errorf("remove: %v, want ErrLastAdmin", err)
	}
	if u, err := st.FindUser(t.Context(), "one"); err != nil || !u.Unlimited() || u.Disabled {
		t.Errorf("it stays as it was: %+v, %v", u, err)
	}
	two := addUser(t, st, store.NewUser{Name: "two", Role: store.RoleAdmin})
	var group errgroup.Group
	for _, id := range []int64{one.ID, two.ID} { // each is the other's excuse
		group.Go(func() error {
			_, err := st.ChangeUser(context.Background(), id, store.UserChange{Disabled: &yes}, byHand)
			if errors.Is(err, store.ErrLastAdmin) {
				return nil
			}
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	enabled := 0
	for _, name := range []string{"one", "two"} {
		u, err := st.FindUser(t.Context(), name)
		if err != nil {
			t.Fatal(err)
		}
		if !u.Disabled {
			enabled++
		}
	}
	if enabled != 1 {
		t.Errorf("%d admins are left, want 1", enabled)
	}
	for _, id := range []int64{one.ID, two.ID} {
		if _, err := st.ChangeUser(t.Context(), id, store.UserChange{Disabled: &no}, byHand); err != nil {
			t.Errorf("enable: %v", err)
		}
	}
}

func TestOneProcessMakesTheFirstUser(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	added := make(chan bool, 8)
	var group errgroup.Group
	for range cap(added) {
		group.Go(func() error {
			ok, err := st.AddFirstUser(t.Context(), store.NewUser{Name: "admin", Role: store.RoleAdmin, Password: "x", MustChange: true}, store.Actor{})
			added <- ok
			return err
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	close(added)
	n := 0
	for ok := range added {
		if ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("%d were told that they made it, want 1", n)
	}
}

func TestTheProviderSaysWhoAUserIs(t *testing.T) {
	t.Parallel()
	st := store.FromPool(pgtest.New(t))
	addUser(t, st, store.NewUser{Name: "ada", Role: store.RoleAdmin})
	by := store.Actor{Via: store.ViaDashboard}
	v := store.Vouched{Issuer: "https://id.example.org", Subject: "4711", Name: "ada", Role: store.RoleViewer}
	u, err := st.VouchUser(t.Context(), v, by)
	if err != nil || u.Name != "ada.2" || u.Role != store.RoleViewer || u.HasPassword {
		t.Fatalf("the provider's ada: %+v, %v; want ada.2, another one than ada", u, err)
	}
	_, _, err = st.StartLogin(t.Context(), store.NewLogin{User: u.ID}, by)
	if err != nil {
		t.Fatal(err)
	}
	v.Name, v.Role, v.Domains = "countess", store.RoleSupport, []string{"example.org"}
	again, err := st.VouchUser(t.Context(), v, by)
	if err != nil || again.ID != u.ID || again.Name != "ada.2" || again.Role != store.RoleSupport || len(again.Domains) != 1 {
		t.Errorf("again: %+v, %v", again, err)
	}
	if list, err := st.ListLogins(t.Context(), u.ID); err != nil || len(list) != 0 {
		t.Errorf("logins of before: %+v, %v", list, err)
	}
	v.Subject, v.Issuer = "4711", "https://other.example.org"
	if other, err := st.VouchUser(t.Context(), v, by); err != nil || other.ID == u.ID || other.Name != "countess" {
		t.Errorf("another provider's 4711: %+v, %v", other, err)
	}
}
