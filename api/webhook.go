package api

import (
	"bufio"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/jid"
	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/store"
)

// Bounds of webhooks.
const (
	secretSize     = 32             // bytes; Standard Webhooks asks for 24 to 64
	secretBeside   = 24 * time.Hour // how long an old secret signs beside a new one
	maxDescription = 200
	maxHookDomains = 100
)

// webhook is one on the wire. Secret is there only where it was just made.
type webhook struct {
	ID             string     `json:"id"`
	URL            string     `json:"url"`
	Types          []string   `json:"types"`
	Domains        []string   `json:"domains"`
	Description    *string    `json:"description"`
	Enabled        bool       `json:"enabled"`
	DisabledReason *string    `json:"disabled_reason"`
	FailingSince   *time.Time `json:"failing_since"`
	OldSecretUntil *time.Time `json:"old_secret_until"`
	CreatedAt      *time.Time `json:"created_at"`
	CreatedBy      string     `json:"created_by"`
	Secret         string     `json:"secret,omitempty"`
}

func showWebhook(w store.Webhook) webhook {
	return webhook{
		ID: store.WebhookID(w.ID), URL: w.URL, Types: w.Types, Domains: w.Domains, Description: orNull(w.Description), Enabled: w.Enabled, DisabledReason: orNull(w.DisabledReason),
		FailingSince: utc(w.FailingSince), OldSecretUntil: utc(w.OldSecretUntil), CreatedAt: utc(w.CreatedAt), CreatedBy: w.CreatedBy,
	}
}

// newSecret makes a secret for a webhook, 0 for one that is new, and the text that a receiver is given: the same for every attempt of a request with an
// Idempotency-Key.
func (c *call) newSecret(webhook int64) (secret store.WebhookSecret, shown string, err error) {
	if c.claim != nil {
		secret, err = hkdf.Key(sha256.New, c.claim.Seed, nil, "bindgate webhook secret 1 of "+store.WebhookID(webhook), secretSize)
	} else {
		secret = make([]byte, secretSize)
		_, _ = rand.Read(secret) // never fails
	}
	return secret, "whsec_" + base64.StdEncoding.EncodeToString(secret), err
}

func (a *api) listWebhooks(c *call) error {
	limit, after, err := a.place(c)
	if err != nil {
		return err
	}
	read, err := a.store.ListWebhooks(c.ctx, c.caller.domains, unpackNumber([]byte(after)), limit+1)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, page(read, limit, showWebhook, func(w store.Webhook) string { return a.cursors.seal(c.listName(c.Path()), packNumber(w.ID)) }))
}

func (a *api) createWebhook(c *call) error {
	o, err := readObject(c.Request(), "url", "types", "domains", "description", "enabled")
	if err != nil {
		return err
	}
	if err := c.someDomain(); err != nil {
		return err
	}
	w := store.Webhook{Enabled: true, Domains: c.caller.domains}
	if !o.has("url") {
		o.wrong("/url", "This is needed: where the events are sent to.")
	} else {
		w.URL = a.targetURL(o)
	}
	w.Types = o.eventTypes()
	if !o.null("domains") {
		w.Domains = c.hookDomains(o)
	}
	if !o.null("description") {
		w.Description = o.text("description", maxDescription)
	}
	if on := o.boolean("enabled"); on != nil {
		w.Enabled = *on
	}
	if o.problem != nil {
		return o.problem
	}
	secret, shown, err := c.newSecret(0)
	if err != nil {
		return err
	}
	if w, err = a.store.CreateWebhook(c.ctx, w, secret, c.actor()); err != nil {
		return err
	}
	v := showWebhook(w)
	v.Secret = shown
	c.Response().Header().Set("Location", "/v1/webhooks/"+v.ID)
	return c.respond(http.StatusCreated, v)
}

// null reports whether a field is not there, or null.
func (o *object) null(name string) bool {
	return o.fields[name] == nil || string(o.fields[name]) == "null"
}

func (a *api) targetURL(o *object) string {
	url := o.text("url", target.MaxURL)
	if o.problem == nil {
		if err := (target.Policy{Private: a.privateTargets}).Check(url); err != nil {
			o.wrong("/url", sentence(err.Error()))
		}
	}
	return url
}

// eventTypes reads the types of events that a webhook gets; nil: all.
func (o *object) eventTypes() (types []string) {
	if o.null("types") {
		return nil
	}
	if given := []json.RawMessage(nil); json.Unmarshal(o.fields["types"], &given) == nil && len(given) == 0 {
		o.wrong("/types", "An empty array would be for no event. Leave types out, or send null, for all types.")
		return nil
	}
	for i, raw := range o.list("types", len(gate.EventTypes())) {
		var t string
		if json.Unmarshal(raw, &t) != nil || !slices.Contains(gate.EventTypes(), t) {
			o.wrong(fmt.Sprintf("/types/%d", i), eventTypesAre)
		}
		if !slices.Contains(types, t) {
			types = append(types, t)
		}
	}
	return types
}

// hookDomains reads the domains whose events a webhook gets: some of those that the caller's token covers.
func (c *call) hookDomains(o *object) (domains []string) {
	for i, raw := range o.list("domains", maxHookDomains) {
		at := fmt.Sprintf("/domains/%d", i)
		s := o.textAt(at, raw, 1023)
		if o.problem != nil {
			return nil
		}
		d, err := jid.Domain(s)
		switch {
		case err != nil:
			o.problem = failField(codeInvalidJID, at, jidProblem(err))
		case !c.caller.sees(d):
			o.wrong(at, "The token does not cover this domain.")
		case !slices.Contains(domains, d):
			domains = append(domains, d)
		}
	}
	return domains
}

// webhook finds the path's webhook. One that may get events which the caller's token does not cover is not there.
func (a *api) webhook(c *call) (store.Webhook, error) {
	id, err := store.ParseWebhookID(c.pathParam("id"))
	if err != nil {
		return store.Webhook{}, err
	}
	w, err := a.store.FindWebhook(c.ctx, id)
	if err != nil {
		return w, err
	}
	if c.caller.domains != nil && (w.Domains == nil || slices.ContainsFunc(w.Domains, func(d string) bool { return !c.caller.sees(d) })) {
		return w, notFound()
	}
	return w, nil
}

func (a *api) getWebhook(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, showWebhook(w))
}

func (a *api) changeWebhook(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	o, err := readObject(c.Request(), "url", "types", "description", "enabled")
	if err != nil {
		return err
	}
	if len(o.fields) == 0 {
		return failField(codeInvalidField, "", "This needs at least one of url, types, description and enabled.")
	}
	var change store.WebhookChange
	if o.has("url") {
		change.URL = new(a.targetURL(o))
	}
	if o.has("types") {
		change.Types = new(o.eventTypes())
	}
	switch {
	case !o.has("description"):
	case o.null("description"):
		change.Description = new("")
	default:
		change.Description = new(o.text("description", maxDescription))
	}
	change.Enabled = o.boolean("enabled")
	if o.problem != nil {
		return o.problem
	}
	if w, err = a.store.ChangeWebhook(c.ctx, w.ID, change, c.actor()); err != nil {
		return err
	}
	return c.respond(http.StatusOK, showWebhook(w))
}

func (a *api) deleteWebhook(c *call) error {
	id, err := store.ParseWebhookID(c.pathParam("id"))
	if err != nil {
		return err
	}
	if _, err := a.webhook(c); err != nil && !errors.Is(err, store.ErrNotFound) { // an earlier attempt of the same request may have deleted it
		return err
	}
	if err := a.store.DeleteWebhook(c.ctx, id, c.actor()); err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}

// rotateWebhook gives a webhook a new secret.
func (a *api) rotateWebhook(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	if err := c.noFields(); err != nil {
		return err
	}
	secret, shown, err := c.newSecret(w.ID)
	if err != nil {
		return err
	}
	if w, err = a.store.RotateWebhook(c.ctx, w.ID, secret, secretBeside, c.actor()); err != nil {
		return err
	}
	v := showWebhook(w)
	v.Secret = shown
	return c.respond(http.StatusOK, v)
}

// noFields refuses a body that says something. Clients that always send one send an empty object.
func (c *call) noFields() error {
	r := c.Request()
	body := bufio.NewReader(r.Body)
	if _, err := body.Peek(1); errors.Is(err, io.EOF) {
		return nil
	}
	r.Body = struct {
		io.Reader
		io.Closer
	}{body, r.Body}
	o, err := readObject(r)
	if err == nil && len(o.fields) > 0 {
		name := slices.Sorted(maps.Keys(o.fields))[0]
		err = failField(codeUnknownField, "/"+pointer(name), "This request takes no fields: send no body, or an empty object.")
	}
	return err
}
