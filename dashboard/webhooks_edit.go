package dashboard

import (
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/gate"
)

type webhookFormPage struct {
	page
	ID          string // "": it is to be made
	URL         string
	Description string
	Domains     string // of a new one
	Some        bool   // only events of the types that are ticked
	Types       []choice
	Problem     *problem
}

// newWebhook is the form of a webhook to be.
func (d *Dashboard) newWebhook(v *visit) error {
	return v.render(http.StatusOK, "webhooks_form", &webhookFormPage{page: v.page("webhooks.new.title"), Types: chosenTypes(gate.EventTypes(), nil)})
}

// createWebhook makes a webhook and shows its secret, this once.
func (d *Dashboard) createWebhook(v *visit) error {
	defer v.within(pageTimeout)()
	p := v.webhookForm("webhooks.new.title")
	types, ok := p.chosen()
	if !ok {
		return v.render(http.StatusUnprocessableEntity, "webhooks_form", p)
	}
	w, err := v.api().CreateWebhook(v.once(), client.NewWebhook{URL: p.URL, Types: types, Domains: strings.FieldsFunc(p.Domains, isGap), Description: p.Description})
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "webhooks_form", p)
	} else if err != nil {
		return err
	}
	return v.showSecret(w, false)
}

// editWebhook is the form of a webhook that is there.
func (d *Dashboard) editWebhook(v *visit) error {
	defer v.within(pageTimeout)()
	w, err := v.hook(idOf(v.query, "id"))
	if err != nil {
		return err
	}
	return v.render(http.StatusOK, "webhooks_form", &webhookFormPage{
		page: v.page("webhooks.edit.title"), ID: w.ID, URL: w.URL, Description: w.Description, Some: w.Types != nil, Types: chosenTypes(gate.EventTypes(), w.Types),
	})
}

func (d *Dashboard) changeWebhook(v *visit) error {
	defer v.within(pageTimeout)()
	p := v.webhookForm("webhooks.edit.title")
	p.ID = idOf(v.r.PostForm, "id")
	types, ok := p.chosen()
	if !ok {
		return v.render(http.StatusUnprocessableEntity, "webhooks_form", p)
	}
	change := client.WebhookChange{URL: client.Set(p.URL), Types: client.Set(types), Description: client.Set(p.Description)}
	if types == nil {
		change.Types = client.Null[[]client.EventType]()
	}
	if p.Description == "" {
		change.Description = client.Null[string]()
	}
	_, err := v.api().ChangeWebhook(v.once(), p.ID, change)
	if p.Problem = problemOf(err); p.Problem != nil {
		return v.render(http.StatusUnprocessableEntity, "webhooks_form", p)
	} else if err != nil {
		return err
	}
	v.done("webhooks.changed")
	return v.redirect(link("/webhooks/hook", "id", p.ID))
}

func (v *visit) webhookForm(title string) *webhookFormPage {
	var ticked []client.EventType
	for _, t := range v.r.PostForm["type"] {
		ticked = append(ticked, client.EventType(t))
	}
	return &webhookFormPage{
		page: v.page(title), URL: v.form("url"), Description: v.form("description"), Domains: v.form("domains"), Some: v.form("which") == "some", Types: chosenTypes(gate.EventTypes(), ticked),
	}
}

// chosen are the types of events; nil: all. Not ok: those that are ticked are wanted, and none is.
func (p *webhookFormPage) chosen() (types []client.EventType, ok bool) {
	if !p.Some {
		return nil, true
	}
	for _, t := range p.Types {
		if t.Chosen {
			types = append(types, client.EventType(t.Value))
		}
	}
	if types == nil {
		p.Problem = &problem{What: "input", Field: "/types"}
	}
	return types, types != nil
}

// isGap reports whether a character stands between two domains.
func isGap(r rune) bool {
	return r == ',' || r == ' ' || r == ';' || r == '\n' || r == '\r' || r == '\t' || r == '、' || r == '，'
}
