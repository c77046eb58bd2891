package api

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/bindgate/bindgate/store"
)

// testWait is how long a test's answer is waited for; a target may take longer.
const testWait = 3 * time.Second

// delivery is one on the wire: an event that was sent to a webhook, or is to be. Attempt is null before the first one has ended.
type delivery struct {
	ID         string     `json:"id"`
	EventID    *string    `json:"event_id"`
	Type       *string    `json:"type"`
	Account    *string    `json:"account"`
	State      string     `json:"state"`
	Attempts   int        `json:"attempts"`
	CreatedAt  *time.Time `json:"created_at"`
	NextAt     *time.Time `json:"next_attempt_at"`
	FinishedAt *time.Time `json:"finished_at"`
	Attempt    *attempt   `json:"last_attempt"`
}

// attempt is how the last one ended.
type attempt struct {
	At         *time.Time `json:"at"`
	Status     *int       `json:"status"`
	DurationMS int64      `json:"duration_ms"`
	Answer     *string    `json:"answer"`
	Error      *string    `json:"error"`
}

func showDelivery(d store.Delivery) delivery {
	v := delivery{
		ID: store.DeliveryID(d.Webhook, d.ID), Type: orNull(d.Type), Account: orNull(d.Account), State: d.State, Attempts: d.Attempts,
		CreatedAt: utc(d.CreatedAt), NextAt: utc(d.NextAt), FinishedAt: utc(d.FinishedAt),
	}
	if d.ID < 0 {
		v.Type = new("webhook.test")
	} else {
		v.EventID = new(strconv.FormatInt(d.ID, 10))
	}
	if d.Attempted {
		v.Attempt = &attempt{At: utc(d.AttemptedAt), DurationMS: d.Duration.Milliseconds(), Answer: orNull(d.Answer), Error: orNull(d.Error)}
		if d.Status != 0 {
			v.Attempt.Status = &d.Status
		}
	}
	return v
}

func (a *api) listDeliveries(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	q := url.Values(c.query)
	limit, err := limitOf(q)
	if err != nil {
		return err
	}
	state := q.Get("state")
	switch state {
	case "", store.DeliveryPending, store.DeliveryDelivered, store.DeliveryFailed:
	default:
		return failField(codeInvalidField, "state", fmt.Sprintf("This must be %s, %s or %s.", store.DeliveryPending, store.DeliveryDelivered, store.DeliveryFailed))
	}
	of := c.listName(c.Path(), store.WebhookID(w.ID), state)
	place, err := a.behind(c, of)
	if err != nil {
		return err
	}
	after := unpackDelivery(place)
	read, err := a.store.ListDeliveries(c.ctx, w.ID, state, after, limit+1)
	if err != nil {
		return err
	}
	return c.respond(http.StatusOK, page(read, limit, showDelivery, func(d store.Delivery) string { return a.cursors.seal(of, packDelivery(d)) }))
}

func packDelivery(d store.Delivery) []byte {
	return binary.BigEndian.AppendUint64(packTime(d.CreatedAt), uint64(d.ID))
}

func unpackDelivery(b []byte) (p store.DeliveryPosition) {
	if len(b) == 16 { // else it is the start
		p.CreatedAt, p.ID = unpackTime(b[:8]), int64(binary.BigEndian.Uint64(b[8:]))
	}
	return p
}

// testWebhook has a test sent and waits a while for how it ends: 200 if it has ended, 202 if it has not.
func (a *api) testWebhook(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	if err := c.noFields(); err != nil {
		return err
	}
	id, err := a.store.TestWebhook(c.ctx, w.ID, c.actor())
	if err != nil {
		return err
	}
	deadline := time.Now().Add(testWait)
	for pause := 20 * time.Millisecond; ; pause = min(2*pause, 250*time.Millisecond) {
		d, err := a.store.FindDelivery(c.ctx, w.ID, id)
		switch {
		case err != nil:
			return err
		case d.State != store.DeliveryPending:
			return c.respond(http.StatusOK, showDelivery(d))
		case time.Now().After(deadline):
			return c.respond(http.StatusAccepted, showDelivery(d))
		}
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-c.ctx.Done():
			timer.Stop()
			return c.ctx.Err()
		}
	}
}

// redeliver has a delivery attempted once more.
func (a *api) redeliver(c *call) error {
	w, err := a.webhook(c)
	if err != nil {
		return err
	}
	of, id, err := store.ParseDeliveryID(c.pathParam("delivery"))
	if err != nil || of != w.ID {
		return notFound()
	}
	if err := c.noFields(); err != nil {
		return err
	}
	if err := a.store.Redeliver(c.ctx, w.ID, id, c.actor()); err != nil {
		return err
	}
	d, err := a.store.FindDelivery(c.ctx, w.ID, id)
	if err != nil {
		return err
	}
	return c.respond(http.StatusAccepted, showDelivery(d))
}
