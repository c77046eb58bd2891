package api

import (
	"encoding/binary"
	"net/http"
	"net/url"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// protectionView is whom an account's takeovers and kicks keep out now.
type protectionView struct {
	Cooldowns []cooldownView `json:"cooldowns"`
	Freezes   []freezeView   `json:"freezes"`
}

// cooldownView is a device that has to wait.
type cooldownView struct {
	DeviceID        *string    `json:"device_id"`
	Resource        string     `json:"resource"`
	Reason          string     `json:"reason"` // takeover, kick
	WinnerSessionID *string    `json:"winner_session_id"`
	Since           *time.Time `json:"since"`
	Attempts        int        `json:"attempts"`
	LastAttemptAt   *time.Time `json:"last_attempt_at"`
	RetryAfter      int64      `json:"retry_after_seconds"`
}

// freezeView is a device that is shut out because it and the winner kept displacing each other.
type freezeView struct {
	DeviceID        *string    `json:"device_id"`
	Resource        string     `json:"resource"`
	WinnerSessionID string     `json:"winner_session_id"`
	Until           *time.Time `json:"until"`
	RetryAfter      int64      `json:"retry_after_seconds"`
}

// loopView is an open loop.
type loopView struct {
	Account         string     `json:"account"`
	WinnerSessionID string     `json:"winner_session_id"`
	DeviceID        *string    `json:"device_id"`
	Resource        string     `json:"resource"`
	OpenedAt        *time.Time `json:"opened_at"`
	Until           *time.Time `json:"until"`
}

func (a *api) getProtection(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	p, err := a.gate.Protection(c.ctx, acc.jid)
	if err != nil {
		return err
	}
	v := protectionView{Cooldowns: []cooldownView{}, Freezes: []freezeView{}}
	for _, d := range p.Displaced {
		winner := store.SessionID(acc.key, d.Winner)
		if d.Frozen {
			v.Freezes = append(v.Freezes, freezeView{deviceID(acc.key, d.Device), d.Resource, winner, utc(d.FrozenUntil), wholeSeconds(d.RetryAfter)})
			continue
		}
		w := cooldownView{
			DeviceID: deviceID(acc.key, d.Device), Resource: d.Resource, Reason: "takeover", WinnerSessionID: &winner, Since: utc(d.At), Attempts: d.Attempts,
			RetryAfter: wholeSeconds(d.RetryAfter),
		}
		if d.Attempts > 0 {
			w.LastAttemptAt = utc(d.SilentSince)
		}
		v.Cooldowns = append(v.Cooldowns, w)
	}
	for _, w := range p.Waits {
		v.Cooldowns = append(v.Cooldowns, cooldownView{DeviceID: deviceID(acc.key, w.Device), Resource: w.Resource, Reason: "kick", RetryAfter: wholeSeconds(w.Until.Sub(p.Now))})
	}
	return c.respond(http.StatusOK, v)
}

func wholeSeconds(d time.Duration) int64 { return int64((d + time.Second - 1) / time.Second) }

func (a *api) releaseProtection(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	if err := a.gate.Release(c.ctx, acc.jid, c.actor()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

func (a *api) listLoops(c *call) error {
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	var only *store.Key // of an account that the caller does not see there is none, as of one that is not there
	if q.Has("account") {
		acc, err := parseAccount("account", q.Get("account"))
		if err != nil {
			return err
		}
		only = &acc.key
	}
	of := c.listName("/v1/loops", keyName(only))
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	account, party := unpackLoop(place)
	read, err := a.store.Loops(c.ctx, store.LoopFilter{Account: only, Domains: c.caller.domains}, account, party, limit+1)
	if err != nil {
		return err
	}
	show := func(l store.Loop) loopView {
		return loopView{l.JID, store.SessionID(l.Account, l.Winner), deviceID(l.Account, l.Device), l.Resource, utc(l.OpenedAt), utc(l.Until)}
	}
	return c.respond(http.StatusOK, page(read, limit, show, func(l store.Loop) string { return a.cursors.seal(of, packLoop(l)) }))
}

func packLoop(l store.Loop) []byte {
	return binary.BigEndian.AppendUint64(append([]byte{}, l.Account[:]...), uint64(l.Party))
}

func unpackLoop(b []byte) (account store.Key, party rules.Party) {
	if len(b) != 24 { // the start
		return account, 0
	}
	return store.Key(b[:16]), rules.Party(binary.BigEndian.Uint64(b[16:]))
}
