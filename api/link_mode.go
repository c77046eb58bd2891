package api

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/store"
)

// modeChange is what became of a change of a link's mode.
type modeChange struct {
	ID      string       `json:"id"`
	Mode    string       `json:"mode"`
	Applied bool         `json:"applied"`
	State   string       `json:"state"`
	Domains []moduleMode `json:"domains"`
}

// moduleMode is the mode that a module says it is in.
type moduleMode struct {
	Domain string  `json:"domain"`
	Node   string  `json:"node"`
	Mode   *string `json:"mode"` // null: not known
}

// modes are those that a link may have; maxMode is longer than any.
var modes = []string{gate.ModeEnforce, gate.ModeObserve, gate.ModeOff}

const maxMode = 16

// putLinkMode pulls and releases the emergency brake. A link serves all of its domains alike.
func (a *api) putLinkMode(c *call) error {
	if err := c.allDomains("a link's mode is"); err != nil {
		return err
	}
	o, err := readObject(c.Request(), "mode")
	if err != nil {
		return err
	}
	mode := o.text("mode", maxMode)
	if o.problem != nil || !slices.Contains(modes, mode) {
		return failField(codeInvalidField, "/mode", "This must be one of "+strings.Join(modes, ", ")+".")
	}
	id := c.pathParam("id")
	if !utf8.ValidString(id) || strings.ContainsRune(id, 0) { // no link is called so
		return noLink()
	}
	l, applied, err := a.gate.SetMode(c.ctx, gate.ModeRequest{Link: id, Mode: mode, By: c.actor()}, modeWait)
	switch {
	case errors.Is(err, store.ErrNotFound):
		return noLink()
	case err != nil:
		return err
	}
	v := modeChange{ID: l.Name, Mode: l.Mode, Applied: applied, State: l.State, Domains: []moduleMode{}}
	for _, d := range l.Domains {
		if d.LastHelloAt != nil {
			v.Domains = append(v.Domains, moduleMode{Domain: d.Domain, Node: d.Node, Mode: orNull(d.Mode)})
		}
	}
	if applied {
		return c.respond(http.StatusOK, v)
	}
	return c.respond(http.StatusAccepted, v)
}

func noLink() *failure {
	return fail(codeNotFound, "There is no such link. GET /v1/links lists those that there are.")
}
