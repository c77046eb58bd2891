package dashboard

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/bindgate/bindgate/client"
)

const (
	webhookRows  = 50 // of a page of the table
	deliveryRows = 30
)

type webhooksPage struct {
	page
	Rows        []webhookView
	First, Next string
}

// webhookView is a webhook with how it does.
type webhookView struct {
	client.Webhook
	Health string // "well", "failing", "paused" by somebody, "disabled" by bindgate
}

func viewWebhook(w client.Webhook) webhookView {
	v := webhookView{w, "well"}
	switch {
	case !w.Enabled && w.DisabledReason != "":
		v.Health = "disabled"
	case !w.Enabled:
		v.Health = "paused"
	case !w.FailingSince.IsZero():
		v.Health = "failing"
	}
	return v
}

// webhooks lists where events are sent to.
func (d *Dashboard) webhooks(v *visit) error {
	defer v.within(pageTimeout)()
	next := ""
	o := client.ListOptions{PageSize: webhookRows, Cursor: v.query.Get("cursor"), Next: &next}
	list, err := client.Collect(v.api().ListWebhooks(v.ctx, o))
	if err != nil {
		return missingIfWrong(err)
	}
	p := &webhooksPage{page: v.page("webhooks.title")}
	p.Live = &liveOf{Types: []string{"webhook"}, Every: 10}
	for _, w := range list {
		p.Rows = append(p.Rows, viewWebhook(w))
	}
	if o.Cursor != "" {
		p.First = link("/webhooks")
	}
	if next != "" {
		p.Next = link("/webhooks", "cursor", next)
	}
	return v.render(http.StatusOK, "webhooks", p)
}

type webhookPage struct {
	page
	Hook        webhookView
	State       string
	States      []choice
	Rows        []client.WebhookDelivery
	First, Next string
}

var deliveryStates = []client.DeliveryState{client.DeliveryPending, client.DeliveryDelivered, client.DeliveryFailed}

// hook finds the webhook that an id names.
func (v *visit) hook(id string) (*client.Webhook, error) {
	w, err := v.api().GetWebhook(v.ctx, id)
	return w, missingIfWrong(err)
}

// webhook shows one with what was sent to it.
func (d *Dashboard) webhook(v *visit) error {
	defer v.within(pageTimeout)()
	w, err := v.hook(idOf(v.query, "id"))
	if err != nil {
		return err
	}
	p := &webhookPage{page: v.page("webhooks.one.title"), Hook: viewWebhook(*w), State: v.chosen("state", "", string(client.DeliveryPending), string(client.DeliveryDelivered), string(client.DeliveryFailed))}
	for _, s := range deliveryStates {
		p.States = append(p.States, choice{string(s), v.t("webhooks.delivery." + string(s)), string(s) == p.State})
	}
	next := ""
	f := client.DeliveryFilter{State: client.DeliveryState(p.State), ListOptions: client.ListOptions{PageSize: deliveryRows, Cursor: v.query.Get("cursor"), Next: &next}}
	if p.Rows, err = client.Collect(v.api().ListDeliveries(v.ctx, w.ID, f)); err != nil {
		return missingIfWrong(err)
	}
	if f.Cursor != "" {
		p.First = link("/webhooks/hook", "id", w.ID, "state", p.State)
	} else {
		p.Live = &liveOf{Types: []string{"webhook"}, Every: 3}
	}
	if next != "" {
		p.Next = link("/webhooks/hook", "id", w.ID, "state", p.State, "cursor", next)
	}
	return v.render(http.StatusOK, "webhooks_hook", p)
}

// enableWebhook has a webhook go on, or pause.
func (d *Dashboard) enableWebhook(v *visit) error {
	defer v.within(pageTimeout)()
	id, on := idOf(v.r.PostForm, "id"), v.ticked("enabled")
	if _, err := v.api().ChangeWebhook(v.once(), id, client.WebhookChange{Enabled: client.Set(on)}); err != nil {
		return missingIfWrong(err)
	}
	told := "webhooks.paused"
	if on {
		told = "webhooks.enabled"
	}
	v.done(told)
	return v.redirect(link("/webhooks/hook", "id", id))
}

// testWait bounds how long a test is waited for, which is longer than other calls of a page.
const testWait = 30 * time.Second

// testWebhook sends a test and tells how it ended.
func (d *Dashboard) testWebhook(v *visit) error {
	defer v.within(testWait)()
	id := idOf(v.r.PostForm, "id")
	delivery, err := v.api().TestWebhook(v.once(), id)
	if err != nil {
		return missingIfWrong(err)
	}
	status := ""
	if delivery.LastAttempt != nil && delivery.LastAttempt.Status != 0 {
		status = strconv.Itoa(delivery.LastAttempt.Status)
	}
	switch {
	case delivery.State == client.DeliveryDelivered:
		v.done("webhooks.test.good", status)
	case delivery.LastAttempt == nil:
		v.done("webhooks.test.pending")
	case status != "":
		v.tell("bad", "webhooks.test.bad", status)
	default:
		v.tell("bad", "webhooks.test.unreached", delivery.LastAttempt.Error)
	}
	return v.redirect(link("/webhooks/hook", "id", id))
}

// redeliver has a delivery attempted once more.
func (d *Dashboard) redeliver(v *visit) error {
	defer v.within(pageTimeout)()
	id := idOf(v.r.PostForm, "id")
	if _, err := v.api().Redeliver(v.once(), id, idOf(v.r.PostForm, "delivery")); err != nil {
		return missingIfWrong(err)
	}
	v.done("webhooks.redelivered")
	return v.redirect(link("/webhooks/hook", "id", id, "state", oneOf(v.form("state"), "", "pending", "delivered", "failed")))
}

type askWebhookPage struct {
	page
	Hook webhookView
	Deed string // "delete" or "rotate"
}

// askWebhook asks whether a webhook is to be deleted, or to get a new secret.
func (d *Dashboard) askWebhook(deed string) func(*visit) error {
	return func(v *visit) error {
		defer v.within(pageTimeout)()
		w, err := v.hook(idOf(v.query, "id"))
		if err != nil {
			return err
		}
		return v.render(http.StatusOK, "webhooks_ask", &askWebhookPage{page: v.page("webhooks.ask." + deed), Hook: viewWebhook(*w), Deed: deed})
	}
}

func (d *Dashboard) askDeleteWebhook(v *visit) error { return d.askWebhook("delete")(v) }
func (d *Dashboard) askRotateWebhook(v *visit) error { return d.askWebhook("rotate")(v) }

// deleteWebhook deletes a webhook, with what is not delivered.
func (d *Dashboard) deleteWebhook(v *visit) error {
	defer v.within(pageTimeout)()
	if err := v.api().DeleteWebhook(v.once(), idOf(v.r.PostForm, "id")); err != nil {
		return missingIfWrong(err)
	}
	v.done("webhooks.deleted")
	return v.redirect(Root + "/webhooks")
}

// rotateWebhook gives a webhook a new secret and shows it, this once.
func (d *Dashboard) rotateWebhook(v *visit) error {
	defer v.within(pageTimeout)()
	w, err := v.api().RotateWebhookSecret(v.once(), idOf(v.r.PostForm, "id"))
	if err != nil {
		return missingIfWrong(err)
	}
	return v.showSecret(w, true)
}

type secretPage struct {
	page
	Hook    client.Webhook
	Secret  string
	Rotated bool
}

// showSecret answers the form that made the secret with it: no address leads to it again, and the form sent again shows the same.
func (v *visit) showSecret(w *client.Webhook, rotated bool) error {
	return v.render(http.StatusOK, "webhooks_secret", &secretPage{page: v.page("webhooks.secret.title"), Hook: *w, Secret: string(w.Secret), Rotated: rotated})
}

// chosenTypes are the types of events of a webhook as boxes to tick.
func chosenTypes(all []string, chosen []client.EventType) []choice {
	var list []choice
	for _, t := range all {
		list = append(list, choice{t, t, slices.Contains(chosen, client.EventType(t))})
	}
	return list
}
