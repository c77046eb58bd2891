package api

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

var (
	outcomes      = []string{string(rules.Allow), string(rules.Denied)}
	decisionCodes = []string{"ok", "takeover", "own_reconnect", "limit", "same_resource", "cooldown", "frozen", "grant_required", "condition", "blocked", "choose", "unavailable"}

	decisionParams = []string{"domain", "outcome", "code", "platform", "since", "until"}
)

// listAllDecisions answers with a page of the decisions about all accounts that the caller's token covers.
func (a *api) listAllDecisions(c *call) error {
	f, err := a.decisionFilter(c)
	if err != nil {
		return err
	}
	of := c.filteredName("/v1/decisions", decisionParams)
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	f.After = unpackDecision(place)
	read, err := a.store.ListAllDecisions(c.ctx, f)
	if err != nil {
		return err
	}
	p := list[decision]{Items: make([]decision, 0, len(read.Decisions))}
	for _, d := range read.Decisions {
		p.Items = append(p.Items, showDecision(d.Key, d.JID, d.ListedDecision))
	}
	if read.Next != nil {
		cursor := a.cursors.seal(of, packDecision(*read.Next))
		p.Next = &cursor
	}
	return c.respond(http.StatusOK, p)
}

func (a *api) decisionFilter(c *call) (f store.DecisionFilter, err error) {
	q := url.Values(c.query)
	f.Outcome, f.Code = q.Get("outcome"), q.Get("code")
	if f.Limit, err = limitOf(q); err != nil {
		return f, err
	}
	if f.Domains, err = c.domains(); err != nil {
		return f, err
	}
	if f.Outcome != "" && !slices.Contains(outcomes, f.Outcome) {
		return f, failField(codeInvalidField, "outcome", fmt.Sprintf("This must be one of %s.", strings.Join(outcomes, ", ")))
	}
	if f.Code != "" && !slices.Contains(decisionCodes, f.Code) {
		return f, failField(codeInvalidField, "code", fmt.Sprintf("This must be one of %s.", strings.Join(decisionCodes, ", ")))
	}
	if f.Since, err = timeParam(q, "since"); err != nil {
		return f, err
	}
	if f.Until, err = timeParam(q, "until"); err != nil {
		return f, err
	}
	if p := q.Get("platform"); p != "" {
		platforms, err := a.store.FindPlatforms(c.ctx)
		if err != nil {
			return f, err
		}
		f.Platforms = platforms.Named(p)
	}
	return f, nil
}

func packDecision(p store.DecisionPosition) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(micros(p.At)))
	if p.Key == (store.Key{}) {
		return b
	}
	return append(b, p.Key[:]...)
}

func unpackDecision(b []byte) (p store.DecisionPosition) {
	if len(b) < 8 { // the start
		return p
	}
	p.At = time.UnixMicro(int64(binary.BigEndian.Uint64(b))).UTC()
	copy(p.Key[:], b[8:])
	return p
}
