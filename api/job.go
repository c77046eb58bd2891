package api

import (
	"net/http"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// job is a kick of the sessions of many accounts on the wire, with its progress.
type job struct {
	ID          string      `json:"id"`
	Kind        string      `json:"kind"`
	State       string      `json:"state"`
	RequestedAt *time.Time  `json:"requested_at"`
	RequestedBy string      `json:"requested_by"`
	Level       rules.Level `json:"level"`
	Subject     *string     `json:"subject"`
	Total       *int64      `json:"total"`
	Done        int64       `json:"done"`
	Sessions    jobSessions `json:"sessions"`
	FinishedAt  *time.Time  `json:"finished_at"`
}

// jobSessions are the sessions that a job has marked so far, by what is known of their end.
type jobSessions struct {
	Kicked       int64 `json:"kicked"`
	Pending      int64 `json:"pending"`
	StillPresent int64 `json:"still_present"`
}

func (a *api) getJob(c *call) error {
	j, err := a.findJob(c)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, showJob(j))
}

// cancelJob answers with the job as it is then: one that has finished stays so.
func (a *api) cancelJob(c *call) error {
	j, err := a.findJob(c)
	if err != nil {
		return err
	}
	if err := a.store.CancelJob(c.ctx, j.ID, c.actor()); err != nil {
		return err
	}
	if j, err = a.store.FindJob(c.ctx, j.ID); err != nil {
		return err
	}
	return c.respond(http.StatusOK, showJob(j))
}

// findJob reads the path's job. One that may concern accounts which the caller's token does not cover is not there.
func (a *api) findJob(c *call) (store.Job, error) {
	id, err := store.ParseJobID(c.pathParam("id"))
	if err != nil {
		return store.Job{}, err
	}
	j, err := a.store.FindJob(c.ctx, id)
	if err != nil {
		return j, err
	}
	if c.caller.domains != nil {
		covered := false
		switch j.Scope.Level {
		case rules.LevelDomain:
			covered = c.caller.sees(j.Scope.Subject)
		case rules.LevelAccount:
			_, domain, _ := strings.Cut(j.Scope.Subject, "@")
			covered = c.caller.sees(domain)
		case rules.LevelGroup, rules.LevelDefault:
		}
		if !covered {
			return j, notFound()
		}
	}
	return j, nil
}

func showJob(j store.Job) job {
	v := job{
		ID: store.JobID(j.ID), Kind: j.Kind, State: j.State, RequestedAt: utc(j.RequestedAt), RequestedBy: j.RequestedBy, Level: j.Scope.Level, Subject: orNull(j.Scope.Subject),
		Done: j.Done, Sessions: jobSessions{Kicked: j.Kicked, Pending: j.Pending, StillPresent: j.StillPresent}, FinishedAt: utc(j.FinishedAt),
	}
	if j.Begun {
		v.Total = &j.Total
	}
	return v
}
