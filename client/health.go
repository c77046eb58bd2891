package client

import (
	"context"
	"net/http"
)

// GetHealth returns nil if the process answers. It is asked once.
func (c *Client) GetHealth(ctx context.Context) error {
	_, err := c.tell(ctx, request{method: http.MethodGet, once: true}, "/healthz")
	return err
}

// GetReady returns nil if the process can do its work. It is asked once. A link that is down does not make it unready; see ListLinks.
func (c *Client) GetReady(ctx context.Context) error {
	_, err := c.tell(ctx, request{method: http.MethodGet, once: true}, "/readyz")
	return err
}
