package adhoc_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
	"github.com/bindgate/bindgate/xmppbridge/stock/adhoc"
)

// crowd answers like Prosody. What it has of an account, or cannot say of it, changes between requests.
type crowd struct {
	xmppbridge.Stream

	mu      sync.Mutex
	users   []string
	fails   map[string]error                 // what user-stats of an account comes to
	notes   map[string]bool                  // user-stats of an account is a note of type error
	large   bool                             // the list is too large with details
	left    string                           // an account that the list still names
	noStats bool                             // the server has no user-stats
	hang    func(context.Context, int) error // called with how many accounts were asked about
	asked   int
}

func (c *crowd) Query(ctx context.Context, to, _, payload string) ([]byte, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	reply := func(format string, args ...any) ([]byte, error) {
		return fmt.Appendf(nil, "<iq type='result'>"+format+"</iq>", args...), nil
	}
	const form = "<command xmlns='http://jabber.org/protocol/commands' status='executing' sessionid='1'><x xmlns='jabber:x:data' type='form'>%s</x></command>"
	const done = "<command xmlns='http://jabber.org/protocol/commands' status='completed'>%s</command>"
	submitted := strings.Contains(payload, `type="submit"`)
	switch {
	case strings.Contains(payload, "disco#info"):
		return reply("<query xmlns='http://jabber.org/protocol/disco#info'/>")
	case strings.Contains(payload, "disco#items"):
		items := ""
		if strings.Contains(to, "@") {
			for _, u := range c.users {
				if u+"@example.org" == to && u != c.left {
					items = fmt.Sprintf("<item jid='%s/phone'/>", to)
				}
			}
		} else if strings.Contains(payload, "protocol/commands") {
			for _, n := range []string{adhoc.EndUserSession, adhoc.UserStats, adhoc.OnlineUsersList} {
				if n != adhoc.UserStats || !c.noStats {
					items += fmt.Sprintf("<item jid='example.org' node='%s'/>", n)
				}
			}
		}
		return reply("<query xmlns='http://jabber.org/protocol/disco#items'>%s</query>", items)
	case strings.Contains(payload, `action="cancel"`):
		return reply("<command xmlns='http://jabber.org/protocol/commands' status='canceled'/>")
	case strings.Contains(payload, adhoc.OnlineUsersList) && !submitted:
		return reply(form, "<field var='details' type='boolean'/>")
	case strings.Contains(payload, adhoc.OnlineUsersList):
		detailed := strings.Contains(payload, "<value>1</value>")
		if detailed && c.large {
			return nil, fmt.Errorf("%w: 5 MiB", xmppbridge.ErrTooLarge)
		}
		lines := ""
		for _, u := range c.users {
			lines += "<value>" + u + "@example.org</value>"
			if detailed {
				lines += "<value> - phone: available(0)</value>"
			}
		}
		return reply(done, "<x xmlns='jabber:x:data' type='result'><field var='onlineuserjids'>"+lines+"</field></x>")
	case !submitted:
		return reply(form, "<field var='accountjid' type='jid-single'/>")
	}
	for u, err := range c.fails {
		if strings.Contains(payload, ">"+u+"@example.org<") {
			return nil, err
		}
	}
	for u := range c.notes {
		if strings.Contains(payload, ">"+u+"@example.org<") {
			return reply(done, "<note type='error'>User not found</note>")
		}
	}
	if c.asked++; c.hang != nil {
		if err := c.hang(ctx, c.asked); err != nil {
			return nil, err
		}
	}
	return reply(done, "<x xmlns='jabber:x:data' type='result'><field var='onlineresources'><value>phone</value></field></x>")
}

func among(t *testing.T, c *crowd) *adhoc.Server {
	t.Helper()
	s, err := adhoc.Discover(t.Context(), c, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func phone(user string) adhoc.Session { return adhoc.Session{User: user, Resource: "phone"} }

// An error about one account is no end of its sessions; that the list names it no more is one. The lists are without details: each asks about each account.
func TestAccountThatCannotBeTold(t *testing.T) {
	t.Parallel()
	c := &crowd{users: []string{"ada", "bob"}, large: true}
	s := among(t, c)
	wantSessions(t, sessions(t, s), phone("ada"), phone("bob"))
	c.fails = map[string]error{"bob": &xmppbridge.StanzaError{Condition: "resource-constraint"}}
	wantSessions(t, sessions(t, s), phone("ada"), phone("bob"))
	c.fails, c.notes = nil, map[string]bool{"bob": true}
	wantSessions(t, sessions(t, s), phone("ada"), phone("bob"))
	if found, err := s.SessionsOf(t.Context(), "bob"); !errors.Is(err, stock.ErrWholeList) {
		t.Errorf("of bob: %v, %v", found, err)
	}
	c.users = c.users[:1]
	wantSessions(t, sessions(t, s), phone("ada"))
	if found, err := s.SessionsOf(t.Context(), "bob"); !errors.Is(err, stock.ErrWholeList) {
		t.Errorf("of bob, who has left: %v, %v", found, err)
	}
}

// Without user-stats, an account that has left has no sessions, so that a kick of one is proven.
func TestAccountThatLeftWithoutStats(t *testing.T) {
	t.Parallel()
	c := &crowd{users: []string{"ada", "bob"}, noStats: true}
	s := among(t, c)
	wantSessions(t, sessions(t, s), phone("ada"), phone("bob"))
	c.left = "bob"
	c.large = true // so that both are asked about
	wantSessions(t, sessions(t, s), phone("ada"), phone("bob"))
	c.users = c.users[:1]
	if found, err := s.SessionsOf(t.Context(), "bob"); !errors.Is(err, stock.ErrWholeList) {
		t.Errorf("of bob, who has left: %v, %v", found, err)
	}
	c.users, c.left = append(c.users, "cyd"), "cyd"
	wantSessions(t, sessions(t, s), phone("ada"))
}

// A first list that takes longer than it may goes on with the next connection.
func TestFirstListInRounds(t *testing.T) {
	t.Parallel()
	c := &crowd{}
	for n := range 40 {
		c.users = append(c.users, fmt.Sprintf("u%d", n))
	}
	d := adhoc.New("bindgate.example.org")
	list := func() (int, error) {
		server, err := d.Open(t.Context(), c, []string{"example.org"})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		c.asked, c.hang = 0, func(_ context.Context, n int) error {
			if n > 15 { // its time is over
				cancel()
				return context.DeadlineExceeded
			}
			return nil
		}
		all, err := server.Lister.List(ctx, []string{"example.org"})
		return len(all["example.org"]), err
	}
	for round := range 5 {
		if n, err := list(); err == nil {
			if n != 40 || round == 0 {
				t.Errorf("round %d: %d sessions", round, n)
			}
			return
		}
	}
	t.Error("the first list never comes to its end")
}
