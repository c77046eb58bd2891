package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Erasure is how far it has come with an account that is to be forgotten.
type Erasure struct {
	ID    string `json:"erasure_id"` // names the erasure in the audit, and says nothing of who was erased
	State string `json:"state"`      // "pending" or "done"
}

// Done reports whether nothing is left.
func (e *Erasure) Done() bool { return e.State == "done" }

// EraseAccount forgets a person: the account's live sessions are kicked, and with the end of the last one everything that is kept about it goes. It is on record
// when the call returns, which waits up to two seconds for the end. Asking again tells how far it has come: ErrNotFound when nothing is left. Delete the
// account on the XMPP server first, or it may come back.
func (c *Client) EraseAccount(ctx context.Context, jid string) (*Erasure, error) {
	e, _, err := send[Erasure](ctx, c, request{method: http.MethodDelete, changes: true}, "/v1/accounts/%s", jid)
	return e, err
}

// exportSilence is how long an export may send nothing.
const exportSilence = time.Minute

// ExportAccount writes all that is kept about a person to w, one JSON object with an array for each kind of data. It may take minutes. What was written before
// an error is not whole.
func (c *Client) ExportAccount(ctx context.Context, jid string, w io.Writer) error {
	p, err := path("/v1/accounts/%s/export", jid)
	if err != nil {
		return err
	}
	r := request{method: http.MethodGet, path: p}
	for n := 1; ; n++ {
		s, err := c.open(ctx, r, exportSilence)
		if err != nil {
			wait, again := c.again(ctx, n, err)
			if !again {
				return err
			}
			if cause := sleep(ctx, wait); cause != nil {
				return fmt.Errorf("%w; before that: %w", cause, err)
			}
			continue
		}
		_, err = io.Copy(w, s)
		if err = errors.Join(err, s.Close()); err != nil {
			return fmt.Errorf("client: GET %s: the export broke off: %w", p, err)
		}
		return nil
	}
}
