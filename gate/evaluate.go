package gate

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Evaluation asks what would happen if somebody logged in now.
type Evaluation struct {
	Account  string // bare JID, as the server has it; it need not be on record
	Resource string // that the client names; "": the server makes one
	Platform string // "": as the matchers say
	Device   int64  // 0: told by the resource
	IP       string
	Grant    string // token; "": none
}

// Evaluated is a decision that was not made.
type Evaluated struct {
	rules.Decision
	Now      time.Time
	Device   int64
	Platform string
}

// TokenError says what is wrong with a token: one of the Token constants.
type TokenError string

func (e TokenError) Error() string { return "the token does not count: " + string(e) }

// modeOf returns the mode of the link that serves a domain now, ModeEnforce if none does, and whether one does. A link whose modules have not said yet which domains
// they are for may serve any.
func (g *Gate) modeOf(ctx context.Context, domain string) (mode string, served bool, err error) {
	links, err := g.Links(ctx)
	if err != nil {
		return "", false, err
	}
	for _, l := range links {
		if slices.ContainsFunc(l.Domains, func(d DomainStatus) bool { return d.Domain == domain }) {
			return l.Mode, true, nil
		}
		served = served || len(l.Domains) == 0
	}
	if len(links) == 1 {
		return links[0].Mode, served, nil
	}
	return ModeEnforce, served, nil
}

// Evaluate decides about a login that does not come, without any effect. Sessions that a real login would have probed count as alive. An unknown device is
// store.ErrNotFound, a grant that does not count a TokenError.
func (g *Gate) Evaluate(ctx context.Context, e Evaluation) (Evaluated, error) {
	var out Evaluated
	var wrong string
	missing := false
	if err := g.loadTokenKey(ctx); err != nil {
		return out, fmt.Errorf("evaluate: %w", err)
	}
	want := store.Want{Key: store.KeyOf(e.Account), JID: e.Account, Create: true, Devices: deviceIDs("", e.Resource)}
	if e.Device != 0 {
		want.Devices = append(want.Devices, e.Device)
	}
	_, domain, _ := strings.Cut(e.Account, "@")
	mode, served, err := g.modeOf(ctx, domain)
	if err != nil {
		return out, fmt.Errorf("evaluate: %w", err)
	}
	err = g.store.Look(ctx, want, func(r *store.Record) {
		r.LinkMode = mode
		s := &store.Session{Resource: e.Resource, Chosen: e.Resource != "", IP: e.IP, Secure: true, StartedAt: r.Now, LastSeenAt: r.Now}
		u := guest{}
		if e.Device == 0 {
			u = identify(r, s, s.Chosen)
		} else {
			d := r.Device(e.Device)
			if missing = d == nil; missing {
				return
			}
			u = guest{name: become(r, s, d), known: admittedBefore(r, d, s), device: d}
		}
		if e.Platform != "" {
			s.Platform = e.Platform
		}
		rule := rules.Merge(r.Levels...)
		c := g.claimOf(r, s, e.Grant, &rule)
		if wrong = c.wrong; wrong != "" {
			return
		}
		d, _ := g.decide(r, s, u, c, rule, nil, rules.Unprobed)
		if d.Outcome == rules.Need {
			n := len(d.Probe)
			d, _ = g.decide(r, s, u, c, rule, nil, rules.Alive)
			d.Explanation = append(d.Explanation, fmt.Sprintf("A real login would first have asked %d of the sessions for a sign of life; here they count as alive.", n))
		}
		if rule.Condition != nil {
			d.Explanation = append(d.Explanation, "For the condition, the login counts as encrypted.")
		}
		if !served {
			d.Explanation = slices.Insert(d.Explanation, 0, fmt.Sprintf("No link serves the domain %s, so no XMPP server asks about this account: this is what the rules would say.", domain))
		}
		out = Evaluated{Decision: d, Now: r.Now, Device: s.Device, Platform: s.Platform}
	})
	switch {
	case err != nil:
		return out, fmt.Errorf("evaluate: %w", err)
	case missing:
		return out, store.ErrNotFound
	case wrong != "":
		return out, TokenError(wrong)
	}
	return out, nil
}
