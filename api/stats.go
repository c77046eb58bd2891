package api

import (
	"cmp"
	"net/http"
	"slices"
	"time"

	"github.com/bindgate/bindgate/store"
)

// maxDomainStats bounds the domains that are named one by one.
const maxDomainStats = 100

// stats is how much there is of everything, on the wire.
type stats struct {
	CountedAt  *time.Time    `json:"counted_at"`
	Sessions   sessionStats  `json:"sessions"`
	Accounts   accountStats  `json:"accounts"`
	Domains    []domainStats `json:"domains"`
	Evictions  recent        `json:"evictions"`
	Denials    recent        `json:"denials"`
	OpenLoops  int64         `json:"open_loops"`
	Unverified unverified    `json:"unverified_kicks"`
	EventsWait int64         `json:"events_waiting_seconds"`
}

type sessionStats struct {
	Total      int64            `json:"total"`
	ByState    counts           `json:"by_state"`
	ByPlatform map[string]int64 `json:"by_platform"`
}

type accountStats struct {
	Total   int64 `json:"total"`
	Online  int64 `json:"online"`
	Several int64 `json:"with_several_sessions"`
}

type domainStats struct {
	Domain   string `json:"domain"`
	Accounts int64  `json:"accounts"`
	Sessions int64  `json:"sessions"`
}

// recent is how often something happened, by its code.
type recent struct {
	Minute map[string]int64 `json:"last_minute"`
	Hour   map[string]int64 `json:"last_hour"`
}

// unverified are sessions that were kicked and whose end was not seen.
type unverified struct {
	Pending      int64 `json:"pending"`
	StillPresent int64 `json:"still_present"`
}

func (a *api) getStats(c *call) error {
	found, err := a.store.FindCensus(c.ctx, c.caller.domains)
	if err != nil {
		return err
	}
	v := stats{
		CountedAt: utc(found.CountedAt), Domains: []domainStats{}, Evictions: recent{found.Minute.Evicted, found.Hour.Evicted}, Denials: recent{found.Minute.Denied, found.Hour.Denied},
		EventsWait: int64(found.EventsWait / time.Second),
	}
	v.Sessions.ByPlatform = map[string]int64{}
	for _, d := range found.Domains {
		of := domainStats{Domain: d.Domain, Accounts: d.Accounts}
		for state, n := range d.States {
			of.Sessions += n
			v.Sessions.ByState.add(state, int(n))
		}
		for platform, n := range d.Platform {
			v.Sessions.ByPlatform[platform] += n
		}
		v.Sessions.Total += of.Sessions
		v.Accounts.Total += d.Accounts
		v.Accounts.Online += d.Online
		v.Accounts.Several += d.Several
		v.OpenLoops += d.Loops
		v.Unverified.Pending += d.Unproven
		v.Unverified.StillPresent += d.Present
		v.Domains = append(v.Domains, of)
	}
	slices.SortStableFunc(v.Domains, func(x, y domainStats) int { return cmp.Compare(y.Sessions, x.Sessions) })
	v.Domains = v.Domains[:min(len(v.Domains), maxDomainStats)]
	return c.respond(http.StatusOK, v)
}

func (n *counts) add(state string, by int) {
	switch state {
	case "binding":
		n.Binding += by
	case "active":
		n.Active += by
	case "hibernating":
		n.Hibernating += by
	case store.StateEvicting:
		n.Evicting += by
	}
}
