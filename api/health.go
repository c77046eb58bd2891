package api

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/bindgate/bindgate"
	"github.com/bindgate/bindgate/gate"
)

// readyTimeout is how long readiness may take to be found out.
const readyTimeout = 2 * time.Second

type health struct {
	Status string `json:"status"`
}

// getHealth says that the process answers.
func (a *api) getHealth(c *call) error { return c.respond(http.StatusOK, health{"ok"}) }

// getReady says whether the process can do its work: the database answers and has our tables, and the links it should have are up.
func (a *api) getReady(c *call) error {
	ctx, cancel := context.WithTimeout(c.ctx, readyTimeout)
	defer cancel()
	if err := a.store.Ready(ctx); err != nil {
		return &failure{code: codeUnavailable, detail: "The database cannot be reached, or has not been migrated.", cause: err}
	}
	if len(a.links) > 0 {
		if err := a.linksUp(ctx); err != nil {
			return err
		}
	}
	return c.respond(http.StatusOK, health{"ok"})
}

// linksUp reports the first link of Config.Links that is not up.
func (a *api) linksUp(ctx context.Context) error {
	links, err := a.gate.Links(ctx)
	if err != nil {
		return err
	}
	for _, name := range a.links {
		i := slices.IndexFunc(links, func(l gate.LinkStatus) bool { return l.Name == name })
		switch {
		case i < 0:
			return fail(codeUnavailable, fmt.Sprintf("The link %q is not up: no process has taken it yet.", name))
		case links[i].State != stateUp:
			return fail(codeUnavailable, fmt.Sprintf("The link %q is not up: it is %s. GET /v1/links says more.", name, links[i].State))
		}
	}
	return nil
}

// stateUp is the state of a link whose server can be asked.
const stateUp = "up"

func (a *api) getOpenAPI(c *call) error {
	return c.Blob(http.StatusOK, "application/yaml", bindgate.OpenAPI)
}
