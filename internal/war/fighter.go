package war

import (
	"context"
	"errors"
	"time"

	"github.com/bindgate/bindgate/internal/xmppclient"
)

// patience is how long a client waits for an answer.
const patience = 30 * time.Second

// fighter is one client. A person logs it in, once; then it reconnects for ever.
type fighter struct {
	name     string
	policy   Policy
	again    bool // it tries again on the stream it has
	options  xmppclient.Options
	resource func() string // for each attempt
	diary    *diary
}

// logIn is what a person does.
func (f *fighter) logIn(ctx context.Context) (*xmppclient.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c, err := xmppclient.Dial(ctx, f.options)
	if err != nil {
		return nil, err
	}
	if _, err := c.Bind(ctx, f.resource()); err != nil {
		c.Cut()
		return nil, err
	}
	f.diary.bound(f.name, c.Resource())
	return c, nil
}

// fight keeps a client that is in in, until ctx ends.
func (f *fighter) fight(ctx context.Context, c *xmppclient.Client) {
	for c != nil {
		select {
		case <-c.Closed():
			f.diary.ended(f.name, c.StreamError())
			c = f.comeBack(ctx)
		case <-ctx.Done():
			c.Cut()
			return
		}
	}
}

// comeBack tries to get in until it succeeds; nil: ctx has ended.
func (f *fighter) comeBack(ctx context.Context) *xmppclient.Client {
	var c *xmppclient.Client
	failed := time.Duration(0)
	for n := 1; ; n++ {
		select {
		case <-time.After(max(f.policy.delay(n), failed)):
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			if c != nil {
				c.Cut()
			}
			return nil
		}
		failed = 0
		var in bool
		if c, in = f.attempt(ctx, c); in {
			return c
		}
		if c == nil {
			failed = 100 * time.Millisecond // nothing was heard of the server: no client asks again within an instant
		}
		if c != nil && !f.again {
			c.Cut()
			c = nil
		}
	}
}

// attempt binds once, on a new stream if there is none. It returns the stream, nil if it broke.
func (f *fighter) attempt(ctx context.Context, c *xmppclient.Client) (_ *xmppclient.Client, in bool) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if c == nil {
		var err error
		if c, err = xmppclient.Dial(ctx, f.options); err != nil {
			f.diary.failed(f.name, err)
			return nil, false
		}
	}
	resource, sent := f.resource(), time.Now()
	_, err := c.Bind(ctx, resource)
	var denied *xmppclient.StanzaError
	switch {
	case err == nil:
		f.diary.attempted(f.name, sent, nil)
		f.diary.bound(f.name, c.Resource())
		return c, true
	case errors.As(err, &denied):
		f.diary.attempted(f.name, sent, denied)
		return c, false
	}
	f.diary.failed(f.name, err)
	c.Cut()
	return nil, false
}
