package api

import (
	"context"
	"net/http"
	"time"

	"github.com/bindgate/bindgate"
)

// readyTimeout is how long readiness may take to be found out.
const readyTimeout = 2 * time.Second

type health struct {
	Status string `json:"status"`
}

// getHealth says that the process answers.
func (a *api) getHealth(c *call) error { return c.respond(http.StatusOK, health{"ok"}) }

// getReady says whether the process can do its work: the database answers and has our tables, which is all that a request needs. A link that is down
// keeps nobody from asking: what it cannot do now is kept, and GET /v1/links says so.
func (a *api) getReady(c *call) error {
	ctx, cancel := context.WithTimeout(c.ctx, readyTimeout)
	defer cancel()
	if err := a.store.Ready(ctx); err != nil {
		return &failure{code: codeUnavailable, detail: "The database cannot be reached, or has not been migrated.", cause: err}
	}
	return c.respond(http.StatusOK, health{"ok"})
}

func (a *api) getOpenAPI(c *call) error {
	return c.Blob(http.StatusOK, "application/yaml", bindgate.OpenAPI)
}
