package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/bindgate/bindgate/internal/xmppclient"
)

func (s *scene) say(format string, args ...any)  { fmt.Fprintf(s.out, "   · "+format+"\n", args...) }
func (s *scene) fine(format string, args ...any) { fmt.Fprintf(s.out, "   ✓ "+format+"\n", args...) }

// wire shows a stanza as it was on the wire.
func (s *scene) wire(what, raw string) { fmt.Fprintf(s.out, "   ✓ %s:\n       %s\n", what, raw) }

// leave logs everyone out.
func (s *scene) leave() {
	for _, c := range s.clients {
		select {
		case <-c.Closed():
		default:
			c.Close()
		}
	}
}

// rule sets an account's own rule.
func (s *scene) rule(ctx context.Context, user string, rule map[string]any) error {
	path := "/v1/accounts/" + user + "@" + s.prosody.Domain() + "/rule"
	if err := s.rest(ctx, http.MethodPut, path, rule, nil); err != nil {
		return err
	}
	var words []string
	for k, v := range rule {
		words = append(words, fmt.Sprintf("%s: %v", k, v))
	}
	slices.Sort(words)
	s.say("the rule of %s: %s", user, strings.Join(words, ", "))
	return nil
}

// stream opens and authenticates a stream that has yet to bind.
func (s *scene) stream(ctx context.Context, user, lang string, sm bool) (*xmppclient.Client, error) {
	c, err := s.login(ctx, user, lang, sm)
	if err == nil {
		s.clients = append(s.clients, c)
	}
	return c, err
}

func (s *scene) bind(ctx context.Context, c *xmppclient.Client, resource string) error {
	r, err := c.Bind(ctx, resource)
	if err != nil {
		return fmt.Errorf("the bind of %q was not let in: %w", resource, err)
	}
	s.say("%s logs in", r.JID)
	return nil
}

// device is a stream that has bound.
func (s *scene) device(ctx context.Context, user, resource, lang string, sm bool) (*xmppclient.Client, error) {
	c, err := s.stream(ctx, user, lang, sm)
	if err != nil {
		return nil, err
	}
	return c, s.bind(ctx, c, resource)
}

// sentAway expects <conflict/> with a text and <ended/>, then the end of the stream.
func (s *scene) sentAway(ctx context.Context, c *xmppclient.Client, who, code, lang string) error {
	e, err := c.WaitClosed(ctx)
	switch {
	case err != nil:
		return fmt.Errorf("%s is still logged in: %w", who, err)
	case e == nil:
		return fmt.Errorf("the stream of %s ended without a word; expected <conflict/>", who)
	case e.Condition != "conflict":
		return fmt.Errorf("%s was told <%s/>, not <conflict/>: %s", who, e.Condition, e.Raw)
	case e.Ended == nil || e.Ended.Code != code:
		return fmt.Errorf("%s was not told <ended code='%s'/>: %s", who, code, e.Raw)
	case e.Text == "" || e.Lang != lang:
		return fmt.Errorf("%s was told %q in the language %q, not in %q: %s", who, e.Text, e.Lang, lang, e.Raw)
	}
	s.wire(who+" reads, and its stream ends", e.Raw)
	return nil
}

// refused expects a stanza error for the bind.
func (s *scene) refused(ctx context.Context, c *xmppclient.Client, resource, condition, typ, code string) error {
	r, err := c.Bind(ctx, resource)
	if err == nil {
		return fmt.Errorf("%s was let in; expected <%s/>", r.JID, condition)
	}
	e, ok := errors.AsType[*xmppclient.StanzaError](err)
	switch {
	case !ok:
		return fmt.Errorf("the bind of %q ended otherwise than with a stanza error: %w", resource, err)
	case e.Condition != condition || e.Type != typ:
		return fmt.Errorf("the bind of %q got <%s/> of type %s, not <%s/> of type %s: %s", resource, e.Condition, e.Type, condition, typ, e.Raw)
	case e.Denied == nil || e.Denied.Code != code:
		return fmt.Errorf("the bind of %q was not told <denied code='%s'/>: %s", resource, code, e.Raw)
	}
	s.wire("the newcomer reads", e.Raw)
	return nil
}

// only expects the record to have just these sessions of the user, all active.
func (s *scene) only(ctx context.Context, user string, clients ...*xmppclient.Client) error {
	var want []string
	for _, c := range clients {
		want = append(want, c.Resource())
	}
	slices.Sort(want)
	var have []string
	err := s.until(ctx, func() (bool, error) {
		var list struct {
			Items []struct {
				Resource string `json:"resource"`
				State    string `json:"state"`
			} `json:"items"`
		}
		if err := s.rest(ctx, http.MethodGet, "/v1/accounts/"+user+"@"+s.prosody.Domain()+"/sessions", nil, &list); err != nil {
			return false, err
		}
		have = nil
		for _, i := range list.Items {
			name := i.Resource
			if i.State != "active" {
				name += " (" + i.State + ")"
			}
			have = append(have, name)
		}
		slices.Sort(have)
		return slices.Equal(have, want), nil
	})
	if err != nil {
		return fmt.Errorf("the record of %s has the sessions %q, not %q: %w", user, have, want, err)
	}
	if len(have) == 0 {
		s.fine("the record has no session of %s", user)
		return nil
	}
	s.fine("the record has %s of %s, and nothing else", strings.Join(have, ", "), user)
	return nil
}
