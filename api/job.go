package api

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// job is a kick of the sessions of many accounts on the wire, with its progress.
type job struct {
	ID          string       `json:"id"`
	Kind        string       `json:"kind"`
	State       string       `json:"state"`
	RequestedAt *time.Time   `json:"requested_at"`
	RequestedBy string       `json:"requested_by"`
	Level       *rules.Level `json:"level"`   // of an apply_rule
	Subject     *string      `json:"subject"` // likewise
	Filter      *kickFilter  `json:"filter"`  // of a kick
	Reason      *string      `json:"reason"`  // likewise
	Domains     []string     `json:"domains"` // that it is limited to; null: all
	Total       *int64       `json:"total"`
	Done        int64        `json:"done"`
	Sessions    jobSessions  `json:"sessions"`
	FinishedAt  *time.Time   `json:"finished_at"`
	Warnings    []string     `json:"warnings,omitempty"` // of a new kick only
}

// jobSessions are the sessions that a job has marked so far, by what is known of their end.
type jobSessions struct {
	Kicked       int64 `json:"kicked"`
	Pending      int64 `json:"pending"`
	StillPresent int64 `json:"still_present"`
}

// kickReaders are the scopes that show kicks by filter.
var kickReaders = []string{ScopeSessionsKick, ScopeSessionsRead}

var jobStates = []string{store.JobRunning, store.JobDone, store.JobCancelled}

func (a *api) listJobs(c *call) error {
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	state := q.Get("state")
	if state != "" && !slices.Contains(jobStates, state) {
		return failField(codeInvalidField, "state", "This must be one of "+strings.Join(jobStates, ", ")+".")
	}
	kind := ""
	if !c.caller.may(kickReaders...) {
		kind = store.JobApplyRule
	}
	of := c.listName("/v1/kicks", state, kind)
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	before := unpackNumber(place)
	read, err := a.store.ListJobs(c.ctx, c.caller.domains, kind, state, before, limit+1)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, page(read, limit, showJob, func(j store.Job) string {
		return a.cursors.seal(of, packNumber(j.ID))
	}))
}

func (a *api) getJob(c *call) error {
	j, err := a.findJob(c, kickReaders)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, showJob(j))
}

// cancelJob answers with the job as it is then: one that has finished stays so.
func (a *api) cancelJob(c *call) error {
	j, err := a.findJob(c, []string{ScopeSessionsKick})
	if err != nil {
		return err
	}
	if err := a.store.CancelJob(c.ctx, j.ID, c.actor()); err != nil {
		return err
	}
	if j, err = a.store.FindJob(c.ctx, j.ID, c.caller.domains); err != nil {
		return err
	}
	return c.respond(http.StatusOK, showJob(j))
}

// findJob reads the path's job. One that may concern accounts which the caller's token does not cover is not there. Whoever may read or write rules is let in for
// those that apply one; a kick by filter takes one of the scopes given.
func (a *api) findJob(c *call, kickScopes []string) (store.Job, error) {
	id, err := store.ParseJobID(c.pathParam("id"))
	if err != nil {
		return store.Job{}, err
	}
	j, err := a.store.FindJob(c.ctx, id, c.caller.domains)
	if err == nil && j.Kind == store.JobKick && !c.caller.may(kickScopes...) {
		return j, insufficient(kickScopes...)
	}
	return j, err
}

func showJob(j store.Job) job {
	v := job{
		ID: store.JobID(j.ID), Kind: j.Kind, State: j.State, RequestedAt: utc(j.RequestedAt), RequestedBy: j.RequestedBy, Domains: j.Domains,
		Done: j.Done, Sessions: jobSessions{Kicked: j.Kicked, Pending: j.Pending, StillPresent: j.StillPresent}, FinishedAt: utc(j.FinishedAt),
	}
	if j.Kick != nil {
		v.Filter, v.Reason = showKickFilter(j.Kick.Filter), orNull(j.Kick.Reason)
	} else {
		v.Level, v.Subject = &j.Scope.Level, orNull(j.Scope.Subject)
	}
	if j.Begun {
		v.Total = &j.Total
	}
	return v
}
