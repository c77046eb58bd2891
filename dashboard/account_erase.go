package dashboard

import (
	"net/http"
	"time"

	"github.com/bindgate/bindgate/client"
)

// exportTimeout is how long an export may take: longer than the API's own bound.
const exportTimeout = 6 * time.Minute

// exportAccount sends all that is kept about a person, as a file.
func (d *Dashboard) exportAccount(v *visit) error {
	defer v.within(exportTimeout)()
	jid := v.query.Get("jid")
	if jid == "" {
		return refuse(http.StatusNotFound)
	}
	rc := http.NewResponseController(v.w)
	_ = rc.SetWriteDeadline(time.Now().Add(exportTimeout)) // without it the server's own holds
	w := &exportWriter{v: v}
	err := v.api().ExportAccount(v.ctx, jid, w)
	if err != nil && w.begun {
		d.log.ErrorContext(v.ctx, "an export broke off", "request_id", requestID(v.ctx), "error", err)
		panic(http.ErrAbortHandler) // half a file is never taken for a whole one
	}
	return err
}

// exportWriter writes the headers with the first byte: until then an error has a page.
type exportWriter struct {
	v     *visit
	begun bool
}

func (w *exportWriter) Write(b []byte) (int, error) {
	if !w.begun {
		w.begun = true
		h := w.v.w.Header()
		h.Set("Content-Type", "application/json")
		h.Set("Content-Disposition", `attachment; filename="bindgate-account.json"`)
	}
	return w.v.w.Write(b)
}

// eraseAccount asks for the account's name, typed, before a person is forgotten.
type eraseAccount struct {
	*accountFrame
	Typed string
	Wrong bool
}

func (d *Dashboard) askErase(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	if f.Account == nil {
		return refuse(http.StatusNotFound)
	}
	f.Live = nil
	return v.render(http.StatusOK, "account_erase", &eraseAccount{accountFrame: f})
}

func (d *Dashboard) erase(v *visit) error {
	defer v.within(pageTimeout)()
	f, err := v.accountFrame()
	if err != nil {
		return err
	}
	f.Live = nil
	if v.form("typed") != f.JID {
		return v.render(http.StatusUnprocessableEntity, "account_erase", &eraseAccount{accountFrame: f, Typed: v.form("typed"), Wrong: true})
	}
	var erasure *client.Erasure
	if erasure, err = v.api().EraseAccount(v.once(), f.JID); err != nil {
		return err
	}
	if erasure.Done() {
		v.done("account.erase.done")
		return v.redirect(link("/sessions"))
	}
	v.done("account.erase.pending")
	return v.toAccount(f.JID, "")
}
