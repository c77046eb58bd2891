package stock

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/xmppbridge"
)

// proofWithin is how long Kick itself looks whether the session is gone; later the next whole list tells.
const proofWithin = time.Second

// link is a server while its component connection and its driver are good.
type link struct {
	o      *Observer
	server *Server
	stream xmppbridge.Stream
	about  about
	lost   chan error // a right that the server took away; holds one

	mu     sync.Mutex
	failed bool // the last kick
}

var _ gate.Link = (*link)(nil)

func (l *link) host(src gate.Source) (*host, error) {
	if h := l.o.hosts[src.Domain]; h != nil {
		return h, nil
	}
	return nil, fmt.Errorf("%.80q is not a domain of link %s", src.Domain, l.o.cfg.Name)
}

// Kick implements gate.Link. The account is listed before, so that the order cannot meet a session that took the resource since, and after, as the proof: most servers say
// yes whatever comes of it. Where it is listed only with all others, and that takes longer than proofWithin, the order goes by the last list there is: one who took the resource since may be met.
func (l *link) Kick(ctx context.Context, src gate.Source, k gate.Kick) (gate.KickResult, error) {
	h, err := l.host(src)
	if err != nil {
		return "", err
	}
	result, err := l.kick(ctx, h, src, k)
	l.note(src.Domain, err)
	return result, err
}

// note tells operators of a kick that failed, once until one succeeds; a right that was lost has the link down.
func (l *link) note(domain string, err error) {
	l.dropped(err)
	l.mu.Lock()
	before := l.failed
	l.failed = err != nil
	l.mu.Unlock()
	if err != nil && !before && !errors.Is(err, context.Canceled) {
		l.o.log.Warn("a session could not be ended; tried again", "domain", domain, "error", err)
	}
}

// dropped has the link down if the error is a right that was lost.
func (l *link) dropped(err error) {
	if lost, ok := errors.AsType[*RightError](err); ok {
		select {
		case l.lost <- lost:
		default:
		}
	}
}

func (l *link) kick(ctx context.Context, h *host, src gate.Source, k gate.Kick) (gate.KickResult, error) {
	a := account{src.Domain, k.User}
	if err := l.o.see(ctx, l.server, a, time.Now().Add(-leastPoll)); err != nil && !errors.Is(err, ErrWholeList) {
		return "", fmt.Errorf("kick: %w", err)
	}
	s, there := h.find(k.User, k.SID)
	if !there {
		return gate.KickGone, nil
	}
	k.Resource = s.Resource
	if err := l.server.Kicker.Kick(ctx, src.Domain, k); err != nil {
		return "", fmt.Errorf("kick: %w", err)
	}
	began := time.Now()
	for wait := 5 * time.Millisecond; time.Since(began) < proofWithin && ctx.Err() == nil; wait *= 2 {
		pause(ctx, wait)
		if err := l.o.see(ctx, l.server, a, time.Now()); err != nil {
			return gate.KickDone, nil //nolint:nilerr // the order was taken; the next whole list tells
		}
		if _, there := h.find(k.User, k.SID); !there {
			break
		}
	}
	return gate.KickDone, nil
}

// Probe implements gate.Link by pings. What answers may also be the server, for a session that has just gone: so who answered is looked for again.
func (l *link) Probe(ctx context.Context, src gate.Source, user string, sids []string, timeout time.Duration) (map[string]gate.Verdict, error) {
	h, err := l.host(src)
	if err != nil {
		return nil, err
	}
	pinging, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	var (
		mu       sync.Mutex
		verdicts = make(map[string]gate.Verdict, len(sids))
		failed   error
		all      sync.WaitGroup
	)
	for _, sid := range sids {
		s, there := h.find(user, sid)
		switch {
		case !there:
			verdicts[sid] = gate.VerdictGone
			continue
		case s.Paused:
			verdicts[sid] = gate.VerdictHibernating
			continue
		}
		all.Go(func() {
			alive, err := l.stream.Alive(pinging, src.Domain, user, s.Resource)
			mu.Lock()
			defer mu.Unlock()
			verdicts[sid] = gate.VerdictSilent
			if alive {
				verdicts[sid] = gate.VerdictAlive
			}
			failed = errors.Join(failed, err)
		})
	}
	all.Wait()
	if failed != nil {
		return nil, fmt.Errorf("probe: %w", failed)
	}
	if slices.Contains(slices.Collect(maps.Values(verdicts)), gate.VerdictAlive) {
		// Who is not listed in time counts as alive: a list that comes later corrects that, and nothing would correct the end of one who lives.
		if err := l.o.see(ctx, l.server, account{src.Domain, user}, time.Now()); err != nil && !errors.Is(err, ErrWholeList) {
			return nil, fmt.Errorf("probe: %w", err)
		}
		for sid, v := range verdicts {
			if _, there := h.find(user, sid); v == gate.VerdictAlive && !there {
				verdicts[sid] = gate.VerdictGone
			}
		}
	}
	return verdicts, nil
}

// Snapshot implements gate.Link from what was last listed.
func (l *link) Snapshot(_ context.Context, src gate.Source, first, count int, digest string) (gate.Part, error) {
	h, err := l.host(src)
	if err != nil {
		return gate.Part{}, err
	}
	return h.part(first, count, digest), nil
}

// Software implements gate.Link.
func (l *link) Software(ctx context.Context, src gate.Source, user, resource string) (gate.Software, error) {
	return l.stream.Software(ctx, src, user, resource)
}

// Notify implements gate.Link.
func (l *link) Notify(ctx context.Context, src gate.Source, n gate.Notice) error {
	return l.stream.Notify(ctx, src, n)
}

// SetMode implements gate.Link. No server has to be told: who is let in and who is kicked is the gate's to say.
func (l *link) SetMode(_ context.Context, src gate.Source, mode string) error {
	h, err := l.host(src)
	if err != nil {
		return err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.mode = mode
	return nil
}

// Revoke implements gate.Link. The gate does not ask: the abilities say so.
func (l *link) Revoke(context.Context, gate.Source, string, []string, bool) (gate.Revocation, error) {
	return gate.Revocation{}, errors.New(noModule["revoke"])
}

// hello says, for each domain, what a module would.
func (l *link) hello() {
	for _, h := range l.o.hosts {
		l.o.gate.Hello(l.helloOf(h))
	}
}

func (l *link) helloOf(h *host) gate.Hello {
	seq, total, mode := h.hello()
	out := gate.Hello{
		Source: h.src, Epoch: h.epoch, Seq: seq, Server: l.about.name, ServerVersion: l.about.version, Mode: mode, OnFailure: "allow", Sessions: total, Stock: true,
		Why: map[string]string{},
	}
	for _, a := range l.abilities(h.src.Domain) {
		if a.Can {
			out.Abilities = append(out.Abilities, a.Name)
		}
		if a.Why != "" {
			out.Why[a.Name] = a.Why
		}
	}
	return out
}

// presence are the domains whose presence the server sends.
func (l *link) presence() map[string]bool {
	l.o.mu.Lock()
	defer l.o.mu.Unlock()
	return maps.Clone(l.o.granted)
}

// softwareOf asks a server what it is (XEP-0092).
func softwareOf(ctx context.Context, stream xmppbridge.Stream, domain string) (name, version string, err error) {
	answer, err := stream.Query(ctx, domain, "get", "<query xmlns='jabber:iq:version'/>")
	if err != nil {
		return "", "", err
	}
	var iq struct {
		Query struct {
			Name    string `xml:"name"`
			Version string `xml:"version"`
		} `xml:"jabber:iq:version query"`
	}
	if err := xml.Unmarshal(answer, &iq); err != nil {
		return "", "", fmt.Errorf("jabber:iq:version: %w", err)
	}
	return clip(iq.Query.Name), clip(iq.Query.Version), nil
}

func clip(s string) string {
	if len(s) > 64 {
		return ""
	}
	return s
}
