package api

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// accountRule is an account's rule on the wire: the fields of a rule, and when it ends.
type accountRule struct {
	rules.Rule
	ExpiresAt *time.Time `json:"expires_at"`
	Warnings  []string   `json:"warnings,omitempty"` // of a change only
}

// changedRule is a rule that was just put.
type changedRule struct {
	rules.Rule
	Warnings []string `json:"warnings,omitempty"`
}

// effectiveRule is what holds for an account, and the level that each field comes from.
type effectiveRule struct {
	Rule   rules.Effective        `json:"rule"`
	Origin map[string]rules.Level `json:"origin"`
}

func defaultScope() store.RuleScope { return store.RuleScope{Level: rules.LevelDefault} }

func (a *api) accountScope(c *call) (store.RuleScope, error) {
	acc, err := c.account()
	return store.RuleScope{Level: rules.LevelAccount, Subject: acc.jid}, err
}

func (a *api) getDefaultRule(c *call) error { return a.getLevelRule(c, defaultToRead) }

func (a *api) putDefaultRule(c *call) error { return a.putLevelRule(c, defaultToChange) }

// deleteDefaultRule unsets every field. The default rule itself is always there.
func (a *api) deleteDefaultRule(c *call) error {
	scope, err := defaultToChange(c)
	if err != nil {
		return err
	}
	change, err := c.ruleChange(scope)
	if err != nil {
		return err
	}
	_, _, job, err := a.store.PutRule(c.ctx, change, rules.Rule{}, time.Time{})
	if err != nil {
		return err
	}
	c.setJob(job)
	return c.NoContent(http.StatusNoContent)
}

func defaultToRead(*call) (store.RuleScope, error) { return defaultScope(), nil }

// defaultToChange refuses tokens that are limited to some domains: the default rule holds for all of them.
func defaultToChange(c *call) (store.RuleScope, error) {
	return defaultScope(), c.allDomains("the default rule holds")
}

func (a *api) getAccountRule(c *call) error {
	scope, err := a.accountScope(c)
	if err != nil {
		return err
	}
	kept, err := a.store.FindRule(c.ctx, scope)
	if err != nil {
		return err
	}
	c.setETag(kept.Version)
	return c.respond(http.StatusOK, accountRule{Rule: kept.Rule, ExpiresAt: utc(kept.ExpiresAt)})
}

func (a *api) putAccountRule(c *call) error {
	scope, err := a.accountScope(c)
	if err != nil {
		return err
	}
	change, err := c.ruleChange(scope)
	if err != nil {
		return err
	}
	rule, expires, err := readAccountRule(c.Request())
	if err != nil {
		return err
	}
	warnings, err := a.warnings(c, rule)
	if err != nil {
		return err
	}
	kept, created, job, err := a.store.PutRule(c.ctx, change, rule, expires)
	if err != nil {
		return err
	}
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	c.setETag(kept.Version)
	c.setJob(job)
	return c.respond(status, accountRule{kept.Rule, utc(kept.ExpiresAt), warnings})
}

func (a *api) deleteAccountRule(c *call) error { return a.deleteLevelRule(c, a.accountScope) }

func (a *api) getEffectiveRule(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	levels, _, err := a.store.AccountRules(c.ctx, acc.jid)
	if err != nil {
		return err
	}
	e := rules.Merge(levels...)
	return c.respond(http.StatusOK, effectiveRule{e, e.Origin})
}

// maxExpiry bounds expires_at, so that the database and everyone's clocks can hold it.
const maxExpiry = 100 * 365 * 24 * time.Hour

// readAccountRule takes expires_at out of the body and leaves the rest to rules.
func readAccountRule(r *http.Request) (rules.Rule, time.Time, error) {
	o, err := readObject(r)
	if err != nil {
		return rules.Rule{}, time.Time{}, err
	}
	var expires time.Time
	if raw, ok := o.fields["expires_at"]; ok && string(raw) != "null" {
		var text string
		if json.Unmarshal(raw, &text) == nil {
			expires, err = time.Parse(time.RFC3339, text)
		}
		switch now := time.Now(); {
		case err != nil || text == "":
			return rules.Rule{}, time.Time{}, failField(codeInvalidField, "/expires_at", "This must be a time such as 2030-01-31T12:00:00Z (RFC 3339), or null for never.")
		case !expires.After(now):
			return rules.Rule{}, time.Time{}, failField(codeInvalidField, "/expires_at", "This must be in the future.")
		case expires.After(now.Add(maxExpiry)):
			return rules.Rule{}, time.Time{}, failField(codeInvalidField, "/expires_at", "This is more than 100 years ahead; use null for never.")
		}
	}
	delete(o.fields, "expires_at")
	rest, err := json.Marshal(o.fields)
	if err != nil {
		return rules.Rule{}, time.Time{}, fmt.Errorf("encode the rule: %w", err)
	}
	rule, err := rules.Parse(rest)
	var unknown *rules.FieldError
	if errors.As(err, &unknown) && unknown.Code == rules.UnknownField && strings.Count(unknown.Field, "/") == 1 {
		unknown.Message += ", expires_at"
	}
	return rule, expires.Truncate(time.Microsecond), err
}

// ruleChange is the change that the request asks for: who, on what condition, and from when on it holds.
func (c *call) ruleChange(scope store.RuleScope) (store.RuleChange, error) {
	change := store.RuleChange{RuleScope: scope, By: c.actor(), Check: c.precondition()}
	switch v := url.Values(c.query).Get("apply"); v {
	case "", "next_login":
		return change, nil
	case "now":
		change.ApplyNow = true
		return change, nil
	default:
		return change, failField(codeInvalidField, "apply", "This must be now or next_login.")
	}
}

// setJob names the job that was accepted with a change; 0 is none.
func (c *call) setJob(job int64) {
	if job != 0 {
		c.Response().Header().Set("Location", "/v1/kicks/"+store.JobID(job))
	}
}

func (c *call) setETag(version int64) { c.Response().Header().Set("ETag", etag(version)) }

func etag(version int64) string { return `"` + strconv.FormatInt(version, 10) + `"` }
