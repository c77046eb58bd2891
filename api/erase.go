package api

import "net/http"

// erasureView says how far it has come with an account that is to be forgotten. It names nobody.
type erasureView struct {
	ID    string `json:"erasure_id"`
	State string `json:"state"` // pending, done
}

const pathAccount = "/v1/accounts/:jid"

func (a *api) eraseAccount(c *call) error {
	acc, err := c.account()
	if err != nil {
		return err
	}
	e, err := a.gate.Erase(c.ctx, acc.jid, c.actor(), a.kickWait)
	if err != nil {
		return err
	}
	if e.Done {
		return c.respond(http.StatusOK, erasureView{e.ID, "done"})
	}
	return c.respond(http.StatusAccepted, erasureView{e.ID, outcomePending})
}
