package gate

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Bounds of notices. Who is beyond them is not told: no login waits for a notice, and none is worth an admission.
const (
	noticesAtOnce = 32 // logins that are being told of
	noticesASec   = 200
	maxTold       = 50 // sessions that are told of one login, those that were seen last
	noticeTimeout = 5 * time.Second
)

// newLogin is a session that has just come to be, with who is to be told of it.
type newLogin struct {
	account    store.Key
	link, jid  string
	generation int64
	since      time.Time // its decision is not older
	judged     bool      // it lived before it was decided about
	notices    []Notice
}

// arrives reports whether an event is the bind of a session that was admitted before.
func arrives(r *store.Record, e Event) bool {
	s := r.Live(e.SID)
	return e.Kind == EventBind && s != nil && s.State == rules.Binding
}

// tellOthers says who is to be told of a bound session, if the rule wants anybody to be: the account's other sessions that are bound and may stay. nil: nobody.
func tellOthers(r *store.Record, s *store.Session) *newLogin {
	if s == nil || s.State == rules.Binding || s.Eviction != nil || s.DecidedAt.IsZero() {
		return nil
	}
	var others []*store.Session
	for _, o := range r.Sessions {
		if o != s && o.Link == s.Link && o.State != rules.Binding && o.Eviction == nil {
			others = append(others, o)
		}
	}
	if len(others) == 0 {
		return nil
	}
	rule := rules.Merge(r.Levels...)
	if !rule.NotifyDevices {
		return nil
	}
	slices.SortFunc(others, func(x, y *store.Session) int {
		return cmp.Or(y.LastSeenAt.Compare(x.LastSeenAt), cmp.Compare(y.Generation, x.Generation))
	})
	n := &newLogin{account: r.Key, link: s.Link, jid: r.JID, generation: s.Generation, since: s.StartedAt}
	user, _, _ := strings.Cut(r.JID, "@")
	device := ""
	if d := r.Device(s.Device); d != nil {
		device = d.Name
	}
	for _, o := range others[:min(len(others), maxTold)] {
		text, lang := rules.Render(rule.Text, "new_login", r.Langs(o.Lang), rules.Placeholders{Platform: s.Platform, Device: device, Time: s.StartedAt})
		n.notices = append(n.notices, Notice{User: user, Resource: o.Resource, Device: device, Platform: s.Platform, At: s.StartedAt, Text: text, Lang: lang})
	}
	return n
}

// notify tells of a login, once it is committed and if it is a new one. It never blocks, and what cannot be told is not told later.
func (g *Gate) notify(n *newLogin) {
	if n == nil {
		return
	}
	leftOut := func(count int) { g.stats.NoticesLeftOut.Add(int64(count)) }
	conn := g.connOf(n.link)
	if conn == nil || !g.telling.begin(time.Now(), noticesAtOnce, noticesASec) {
		leftOut(len(n.notices))
		return
	}
	if !g.bg.run(func() {
		defer g.telling.end()
		ctx, cancel := context.WithTimeout(context.Background(), noticeTimeout)
		defer cancel()
		fresh, err := g.isNew(ctx, n)
		if err != nil {
			g.log.Info("nobody is told of a login", "link", n.link, "error", err)
			leftOut(len(n.notices))
			return
		}
		if !fresh {
			return
		}
		_, domain, _ := strings.Cut(n.jid, "@")
		src := g.sourceOf(n.link, domain)
		for i, notice := range n.notices {
			if err := conn.Notify(ctx, src, notice); err != nil {
				g.log.Info("a session is not told of a login", "link", n.link, "error", err)
				leftOut(len(n.notices) - i)
				return
			}
			g.stats.Notices.Add(1)
		}
	}) {
		g.telling.end()
	}
}

// isNew reports whether a login is one to tell of: an admission that is not a device's own reconnect, or that a rule without force would have denied. Who is
// judged once more, since more is known of it, came before.
func (g *Gate) isNew(ctx context.Context, n *newLogin) (bool, error) {
	first, err := g.store.FindAdmission(ctx, n.account, n.generation, n.since)
	if err != nil {
		return false, err
	}
	if n.judged && first.Count > 1 {
		return false, nil
	}
	if first.Outcome == string(rules.Denied) {
		return first.Shadow, nil
	}
	return first.Code != string(rules.CodeOwnReconnect), nil
}
