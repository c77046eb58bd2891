package war

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/store"
)

// Server is where the devices log in.
type Server interface {
	Domain() string
	Addresses() (clients, components string)
	WebSocketURL() string
	BOSHURL() string
}

// Field is where wars are fought: a server, and the record of the bindgate that runs for it.
type Field struct {
	Server Server
	// Patient is xmppclient's, for a server that needs it.
	Patient bool
	Store   *store.Store
}

// AnswerTimeout is the bindgate_timeout to set on the server. Its failure policy is not on trial: on a busy machine it would let in who has to wait.
const AnswerTimeout = 30 * time.Second

// Fight runs a trial: a person logs A in, then B, which takes over, and then both are left to themselves.
//
// A trial that is void is fought again, twice at most.
func (f *Field) Fight(ctx context.Context, t Trial) Result {
	for {
		r := f.once(ctx, t)
		if r.Voids = t.again; !r.Void || t.again == 2 || ctx.Err() != nil {
			return r
		}
		t.again++
	}
}

func (f *Field) once(ctx context.Context, t Trial) Result {
	r := Result{Trial: t}
	ctx, cancel := context.WithTimeout(ctx, t.limit())
	defer cancel()
	d := newDiary(t.Attempts)
	if err := f.fight(ctx, &t, d, &r); err != nil {
		r.fail("%v", err)
	}
	r.Diary = d.String()
	return r
}

func (f *Field) fight(ctx context.Context, t *Trial, d *diary, r *Result) error {
	if err := f.setRule(ctx, t); err != nil {
		return err
	}
	a, b := f.fighters(t, d)
	first, err := a.logIn(ctx)
	if err != nil {
		return fmt.Errorf("a person logs A in: %w", err)
	}
	defer first.Cut()
	if err := f.settled(ctx, t, first.Resource()); err != nil {
		return fmt.Errorf("A settles: %w", err)
	}
	last, err := b.logIn(ctx)
	if err != nil {
		return fmt.Errorf("a person logs B in: %w", err)
	}
	defer last.Cut()
	takeover := time.Now()

	fighting, stop := context.WithCancel(context.WithoutCancel(ctx)) // whoever is in when the time is over stays in until that was looked at
	var both sync.WaitGroup
	both.Go(func() { a.fight(fighting, first) })
	both.Go(func() { b.fight(fighting, last) })
	defer both.Wait()
	defer stop()
	select {
	case <-d.had:
	case <-ctx.Done():
		r.fail("it is not over after %s", t.limit())
	}
	select {
	case <-time.After(time.Until(takeover.Add(t.Lasts))):
	case <-ctx.Done():
	}
	if _, err := last.IQ(context.WithoutCancel(ctx), f.Server.Domain(), "get", "<ping xmlns='urn:xmpp:ping'/>", ""); err != nil {
		r.fail("B's stream does not work at the end: %v", err)
	}
	d.close()
	r.judge(d, takeover)
	return f.judgeRecord(context.WithoutCancel(ctx), t, d, last.Resource(), r)
}

// fighters are the two clients of a trial.
func (f *Field) fighters(t *Trial, d *diary) (a, b *fighter) {
	addr, _ := f.Server.Addresses()
	o := xmppclient.Options{Transport: t.Transport, Addr: addr, Domain: f.Server.Domain(), User: t.user(), SM: t.SM, Discard: true}
	switch t.Transport {
	case xmppclient.TCP:
	case xmppclient.WebSocket:
		o.URL = f.Server.WebSocketURL()
	case xmppclient.BOSH:
		o.URL, o.Patient = f.Server.BOSHURL(), f.Patient
	}
	fixed := func(resource string) func() string { return func() string { return resource } }
	a = &fighter{name: "A", policy: t.Policy, again: t.SameStream, options: o, diary: d}
	b = &fighter{name: "B", policy: t.Policy, again: t.SameStream, options: o, diary: d}
	switch t.Kind {
	case SameResource:
		a.resource, b.resource = fixed("phone"), fixed("phone")
	case OwnResources:
		a.resource, b.resource = fixed("phone"), fixed("tablet")
	case OwnIDs:
		a.resource, b.resource = rand.Text, rand.Text
		a.options.ClientID, b.options.ClientID = rand.Text(), rand.Text()
	case SameID:
		a.resource, b.resource = rand.Text, rand.Text
		a.options.ClientID = rand.Text()
		b.options.ClientID = a.options.ClientID
	case NoResource:
		a.resource, b.resource = fixed(""), fixed("")
	}
	return a, b
}

func (f *Field) account(t *Trial) (jid string, key store.Key) {
	jid = t.user() + "@" + f.Server.Domain()
	return jid, store.KeyOf(jid)
}

func (f *Field) setRule(ctx context.Context, t *Trial) error {
	jid, _ := f.account(t)
	_, err := f.Store.Pool().Exec(ctx, `insert into rules (scope, subject, fields, version, updated_at, updated_by)
		values ('account', $1, $2, nextval('rule_version'), now(), 'war') on conflict (scope, subject) do update set fields = excluded.fields`, jid, t.rule())
	if err != nil {
		return fmt.Errorf("set the rule: %w", err)
	}
	return nil
}

// live are the account's sessions on record, "resource=state".
func (f *Field) live(ctx context.Context, t *Trial) (string, error) {
	_, key := f.account(t)
	rows, err := f.Store.Pool().Query(ctx, `select resource || '=' || case when evict_code is null then state else 'evicting' end from sessions where account = $1 order by generation`, key)
	if err != nil {
		return "", fmt.Errorf("read the record: %w", err)
	}
	all, err := collect[string](rows)
	return strings.Join(all, " "), err
}

// settled waits until a session is active on record.
func (f *Field) settled(ctx context.Context, t *Trial, resource string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	for {
		got, err := f.live(ctx, t)
		if err != nil {
			return err
		}
		if got == resource+"=active" {
			return nil
		}
		select {
		case <-ctx.Done():
			return errors.New("the record says: " + got)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// judgeRecord looks at what is left on record: B alone, and few rows.
func (f *Field) judgeRecord(ctx context.Context, t *Trial, d *diary, resource string, r *Result) error {
	got, err := f.live(ctx, t)
	if err != nil {
		return err
	}
	if want := resource + "=active"; got != want {
		r.fail("on record at the end: %s, want %s", got, want)
	}
	denials, err := f.decided(ctx, t, "deny")
	if err != nil {
		return err
	}
	r.judgeRows(denials)
	admissions, err := f.decided(ctx, t, "allow")
	if err != nil {
		return err
	}
	r.Void = !r.Held() && t.Cooldown > 0 && len(admissions) > 2 && d.silent(admissions[2], t.Cooldown)
	return nil
}

// decided is when the account's decisions of an outcome were made, in order.
func (f *Field) decided(ctx context.Context, t *Trial, outcome string) ([]time.Time, error) {
	_, key := f.account(t)
	rows, err := f.Store.Pool().Query(ctx, "select at from decisions where account = $1 and outcome = $2 order by at", key, outcome)
	if err != nil {
		return nil, fmt.Errorf("read the decisions: %w", err)
	}
	all, err := collect[time.Time](rows)
	if err != nil {
		return nil, fmt.Errorf("read the decisions: %w", err)
	}
	return all, nil
}
