package gate

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/bindgate/bindgate/store"
)

// Erasure says how far it has come with an account that is to be forgotten.
type Erasure struct {
	ID   string
	Done bool // nothing is left
}

// erasureOutcome is what a request to erase came to.
type erasureOutcome struct {
	ErasureID string `json:"erasure_id"`
}

// reasonErased is the reason of the kicks that come with an erasure.
const reasonErased = "the account is erased"

// Erase forgets an account: its live sessions are kicked, and with the end of the last one everything that is kept about it goes: its devices, history,
// decisions, rule, group, grants, protection, kicks, and what the event log and the audit say of it. It is on record when Erase returns, which waits for the end
// until wait is over. A login that comes meanwhile is kicked too; one that comes after the last session's end is that of an account never met. Asking again
// tells how far it has come. store.ErrNotFound if nothing is known of the account.
func (g *Gate) Erase(ctx context.Context, account string, by store.Actor, wait time.Duration) (Erasure, error) {
	key := store.KeyOf(account)
	if was, ok, err := store.Made[erasureOutcome](by); err != nil {
		return Erasure{}, err
	} else if ok {
		return g.awaitErasure(ctx, key, was.ErasureID, wait)
	}
	var out erasureOutcome
	var links []string
	id := kickNumber()
	err := g.await(ctx, &op{want: store.Want{Key: key, JID: account}, apply: func(r *store.Record) func() {
		out, links = erasureOutcome{}, nil
		if r == nil {
			return nil
		}
		if r.Erasure == 0 {
			r.Erase(id)
			links = endAll(r, kickNumber(), by)
		}
		out.ErasureID = store.ErasureID(r.Erasure)
		r.Audit(by, store.Entry{Action: store.AccountErase, Target: out.ErasureID, Outcome: out})
		return nil
	}})
	if err != nil { // it may still be done
		return Erasure{}, fmt.Errorf("erase: %w", err)
	}
	if out.ErasureID == "" {
		goesOn, err := g.store.FindErasure(ctx, key)
		if err != nil {
			return Erasure{}, err
		}
		out.ErasureID = store.ErasureID(goesOn)
	}
	for _, l := range links {
		g.wake(l)
	}
	return g.awaitErasure(ctx, key, out.ErasureID, wait)
}

// awaitErasure waits until nothing of an account is left, or until wait is over.
func (g *Gate) awaitErasure(ctx context.Context, account store.Key, id string, wait time.Duration) (Erasure, error) {
	deadline := time.Now().Add(wait)
	for pause := 5 * time.Millisecond; ; pause = min(2*pause, 100*time.Millisecond) {
		switch left, err := g.store.FindErasure(ctx, account); {
		case errors.Is(err, store.ErrNotFound), err == nil && store.ErasureID(left) != id:
			return Erasure{ID: id, Done: true}, nil
		case err != nil:
			return Erasure{}, fmt.Errorf("erase: %w", err)
		case time.Now().After(deadline):
			return Erasure{ID: id}, nil
		}
		select {
		case <-ctx.Done():
			return Erasure{}, ctx.Err()
		case <-time.After(pause):
		}
	}
}

// endAll kicks an account's live sessions that nobody has asked to go yet, and returns their links.
func endAll(r *store.Record, id int64, by store.Actor) (links []string) {
	k := newKicking(r, id, nil)
	for _, s := range r.Sessions {
		if s.Eviction == nil || !s.Eviction.ByOperator() {
			k.kick(s)
		}
	}
	if len(k.sids) > 0 {
		selector, _ := json.Marshal(KickSelect{All: true}) // a struct of plain fields always encodes
		k.close(by.String(), reasonErased, selector)
	}
	return k.links
}

// endAgain kicks who has come in to an account that is to be erased.
func (g *Gate) endAgain(jid string) {
	id := kickNumber()
	g.do(&op{want: store.Want{Key: store.KeyOf(jid), JID: jid}, apply: func(r *store.Record) func() {
		if r == nil || r.Erasure == 0 {
			return nil
		}
		links := endAll(r, id, store.Actor{Subject: "erasure"})
		return func() {
			for _, l := range links {
				g.wake(l)
			}
		}
	}})
}

// eraseLeft works off what is left to erase, and leaves room for logins.
func (g *Gate) eraseLeft(ctx context.Context) error {
	for ctx.Err() == nil {
		begin := time.Now()
		more, err := g.store.EraseSome(ctx)
		if err != nil || !more {
			return err
		}
		pause(ctx, time.Since(begin))
	}
	return nil
}
