package adhoc

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
)

// Session is one that the server lists.
type Session struct {
	User, Resource string
	Address        string // the client's, without its port; "" where the list does not have it
}

// Sessions are all that the server lists of the domain, in no order: what XEP-0133 tells is who is there, not since when, nor whether a session is suspended, nor that a
// resource was bound again since.
func (s *Server) Sessions(ctx context.Context) ([]Session, error) {
	switch s.list {
	case ByDisco:
		items, err := s.client.Items(ctx, s.domain, onlineNode)
		if err != nil {
			return nil, fmt.Errorf("online users: %w", bounded(err))
		}
		return s.ofAccounts(ctx, byAccount(s.addressed(items)))
	case ByPresences:
		r, err := s.client.Run(ctx, s.command, s.wholeList)
		if err != nil {
			return nil, fmt.Errorf("get-active-presences: %w", bounded(err))
		}
		return s.present(r.Fields["activeuserpresences"]), nil
	}
	r, detailed, err := s.users(ctx)
	if err != nil {
		return nil, fmt.Errorf("list of users: %w", bounded(err))
	}
	lines, err := usersIn(r)
	if err != nil {
		return nil, err
	}
	accounts := s.accounts(lines, detailed)
	named := slices.ContainsFunc(accounts, func(a *account) bool { return len(a.resources) > 0 })
	s.mu.Lock()
	s.named = named
	s.mu.Unlock()
	return s.ofAccounts(ctx, accounts)
}

// briefFor is how long lists are asked for without details after one that was too large with them.
const briefFor = 5 * time.Minute

// users runs the command that lists users. Clients write into the details of Prosody's list, as much as they like: what is too large with them is asked for without.
func (s *Server) users(ctx context.Context) (r Result, detailed bool, err error) {
	s.mu.Lock()
	brief := time.Now().Before(s.brief)
	s.mu.Unlock()
	run := func(details string) (Result, error) {
		return s.client.Run(ctx, s.command, func(q Question) ([]string, bool) {
			if q.Name == "details" {
				detailed = details == "1"
				return []string{details}, q.Type == "boolean"
			}
			return s.wholeList(q)
		})
	}
	if !brief {
		r, err = run("1")
		if !detailed || !errors.Is(err, xmppbridge.ErrTooLarge) {
			return r, detailed, err
		}
		s.mu.Lock()
		s.brief = time.Now().Add(briefFor)
		s.mu.Unlock()
	}
	r, err = run("0")
	return r, detailed, err
}

// bounded says what to do about a list that is too large.
func bounded(err error) error {
	if errors.Is(err, xmppbridge.ErrTooLarge) {
		return fmt.Errorf("%w: driver admin takes lists of up to 4 MiB. Use the server's gate module (driver gate) or, for ejabberd, its HTTP API (driver ejabberd)", err)
	}
	return err
}

// SessionsOf are those of one account; stock.ErrWholeList where they cannot be asked for alone.
func (s *Server) SessionsOf(ctx context.Context, user string) ([]Session, error) {
	s.mu.Lock()
	alone := s.stats && s.list != ByPresences && !s.named
	s.mu.Unlock()
	if !alone {
		return nil, stock.ErrWholeList
	}
	found, err := s.ofAccount(ctx, user)
	// Nothing is told of an account that is not there, or cannot be told: the list says which.
	if _, said := errors.AsType[*NoteError](err); said || errors.Is(err, ErrNoList) {
		return nil, fmt.Errorf("%w: %w", stock.ErrWholeList, err)
	}
	return found, err
}

// wholeList answers the form of a command that lists users: as many as there are, of the domain, with all that is to be known.
func (s *Server) wholeList(q Question) ([]string, bool) {
	switch q.Name {
	case "max_items": // XEP-0133 has none, Prosody all, Tigase None
		most := ""
		for _, o := range q.Options {
			if l := strings.ToLower(o); l == "none" || l == "all" {
				return []string{o}, true
			}
			if n, err := strconv.Atoi(o); err == nil {
				if m, err := strconv.Atoi(most); err != nil || n > m {
					most = o
				}
			}
		}
		return []string{most}, most != ""
	case "domainjid":
		return []string{s.domain}, true
	}
	return nil, false
}

// usersIn finds the list in a result: under the names of XEP-0133, or Tigase's, "Users: " and how many.
func usersIn(r Result) ([]string, error) {
	for name, values := range r.Fields {
		if name == "onlineuserjids" || name == "activeuserjids" || strings.HasPrefix(name, "Users: ") {
			return values, nil
		}
	}
	for _, name := range []string{"Error", "Note"} {
		if said := r.Fields[name]; len(said) > 0 {
			return nil, &NoteError{strings.Join(said, " ")}
		}
	}
	return nil, errors.New("the list of users is not in the server's answer")
}

// addressed are the sessions among items.
func (s *Server) addressed(items []Item) []Session {
	var out []Session
	for _, i := range items {
		if user, resource, ok := s.local(i.JID); ok && resource != "" && i.Node == "" {
			out = append(out, Session{User: user, Resource: resource})
		}
	}
	return out
}

// present reads presence stanzas as far as their start tags: who they are from is the server's word, what is in them is their clients'.
func (s *Server) present(stanzas []string) []Session {
	var out []Session
	for _, text := range stanzas {
		t, err := xml.NewDecoder(strings.NewReader(strings.TrimSpace(text))).Token()
		start, ok := t.(xml.StartElement)
		if err != nil || !ok || start.Name.Local != "presence" {
			continue
		}
		for _, a := range start.Attr {
			if a.Name != (xml.Name{Local: "from"}) {
				continue
			}
			if user, resource, ok := s.local(a.Value); ok && resource != "" {
				out = append(out, Session{User: user, Resource: resource})
			}
		}
	}
	return out
}

// account is what a list says of one.
type account struct {
	user      string
	resources []string
	details   string // lines below it that are hints and no more: clients write into them
	times     int    // that it is in the list; 2: a client has written it there
}

// tigaseEntry is an account in Tigase's list: ada@example.org (2:phone, tablet).
var tigaseEntry = regexp.MustCompile(`^(\S+) \(\d+:(.*)\)$`)

// accounts reads a list of users, one in a line: an account, a session's full address, or an account with its sessions. Prosody's list has details below each account
// in which clients have a word, and with a line break a line of their own: in such a list sessions are not believed, and who writes an account's name there has bindgate
// ask about it and nothing more.
func (s *Server) accounts(lines []string, detailed bool) []*account {
	var out []*account
	known := map[string]*account{}
	var last *account
	for _, line := range lines {
		if detailed && strings.HasPrefix(line, " - ") { // of the account above
			if last != nil {
				last.details += line + "\n"
			}
			continue
		}
		var resources []string
		if m := tigaseEntry.FindStringSubmatch(line); m != nil && !strings.Contains(m[1], "/") {
			line, resources = m[1], strings.Split(m[2], ", ")
		}
		user, resource, ok := s.local(line)
		if !ok {
			continue
		}
		if resource != "" {
			resources = []string{resource}
		}
		if detailed {
			resources = nil
		}
		a := known[user]
		if a == nil {
			a = &account{user: user}
			known[user] = a
			out = append(out, a)
		}
		a.times++
		for _, r := range resources {
			if r != "" && !slices.Contains(a.resources, r) {
				a.resources = append(a.resources, r)
			}
		}
		last = a
	}
	return out
}

// byAccount sorts sessions that are listed one by one. Their resources stand for their account's details.
func byAccount(sessions []Session) []*account {
	known := map[string]*account{}
	var out []*account
	for _, x := range sessions {
		a := known[x.User]
		if a == nil {
			a = &account{user: x.User, times: 1}
			known[x.User] = a
			out = append(out, a)
		}
		a.resources = append(a.resources, x.Resource)
	}
	for _, a := range out {
		slices.Sort(a.resources)
		a.resources = slices.Compact(a.resources)
		a.details = strings.Join(a.resources, "\n")
	}
	return out
}

// seen is what was found out about an account with these details.
type seen struct {
	details  string
	sessions []Session
}

const (
	// askedAtOnce bounds the requests about accounts that wait for their answer.
	askedAtOnce = 8
	// askedForAddress is how many accounts of one list are asked about although it names their sessions, to learn where they come from. The others' turn is with later lists.
	askedForAddress = 100
)

// ofAccounts are the sessions of accounts. The server is asked about those whose sessions the list does not name, and about those that are new in ejabberd's, but not again
// while their details are as they were.
func (s *Server) ofAccounts(ctx context.Context, accounts []*account) ([]Session, error) {
	var mu sync.Mutex // guards out and next
	var out []Session
	next, asked := map[string]seen{}, 0
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(askedAtOnce)
	for _, a := range accounts {
		if was, ok := s.known(a); ok {
			mu.Lock()
			next[a.user], out = was, append(out, was.sessions...)
			mu.Unlock()
			continue
		}
		var named []Session
		for _, r := range a.resources {
			named = append(named, Session{User: a.user, Resource: r})
		}
		if named != nil {
			if asked++; s.list != ByDisco || !s.stats || asked > askedForAddress {
				mu.Lock()
				out = append(out, named...)
				mu.Unlock()
				continue
			}
		}
		group.Go(func() error {
			sessions, err := s.ofAccount(ctx, a.user)
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				// What the server cannot tell of one account does not hide all others, and is no end of its sessions: they are those that the list names, or were told last.
				// One that the server says nothing of, where it does tell of others, came and went between the list and the question.
				was, told := s.told(a.user)
				switch {
				case ctx.Err() != nil || refused(err, forbidding...):
					return err
				case named != nil:
					out = append(out, named...)
				case answered(err), told && errors.Is(err, ErrNoList):
					out = append(out, was...)
				default:
					return err
				}
				return nil
			}
			out = append(out, sessions...)
			was := seen{a.details, sessions}
			s.tell(a.user, was)
			if agrees(a.details, sessions) {
				next[a.user] = was
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	listed := map[string]bool{}
	for _, a := range accounts {
		listed[a.user] = true
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = next
	maps.DeleteFunc(s.last, func(user string, _ []Session) bool { return !listed[user] })
	return out, nil
}

// answered reports whether err is the server's word about an account.
func answered(err error) bool {
	_, stanza := errors.AsType[*xmppbridge.StanzaError](err)
	_, note := errors.AsType[*NoteError](err)
	return stanza || note
}

// told is what an account had when the server last told. ok: it has told of some account.
func (s *Server) told(user string) ([]Session, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.last[user], len(s.last) > 0
}

// tell keeps what the server has told of an account, at once: the list that asked may fail later.
func (s *Server) tell(user string, is seen) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last[user] = is.sessions
	if agrees(is.details, is.sessions) {
		s.seen[user] = is
	}
}

// known is what was found out about an account, if nothing in the list says that it is otherwise now.
func (s *Server) known(a *account) (seen, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	was, ok := s.seen[a.user]
	return was, ok && a.times == 1 && a.details != "" && was.details == a.details
}

// agrees reports whether the sessions that were found are those of the details: there may have been a login or an end in between, and what is kept for details must be so
// whenever they are the same again.
func agrees(details string, sessions []Session) bool {
	lines := strings.Split(strings.TrimSuffix(details, "\n"), "\n")
	for _, x := range sessions {
		if !slices.ContainsFunc(lines, func(line string) bool { return line == x.Resource || strings.HasPrefix(line, " - "+x.Resource+": ") }) {
			return false
		}
	}
	return len(lines) == len(sessions)
}

// ofAccount asks the server about one account: by user-stats, else by service discovery at the account (XEP-0030 §8), which servers answer as they see fit.
func (s *Server) ofAccount(ctx context.Context, user string) ([]Session, error) {
	if !s.stats {
		items, err := s.client.Items(ctx, user+"@"+s.domain, "")
		if err != nil && !refused(err, "service-unavailable", "item-not-found", "forbidden", "subscription-required") {
			return nil, fmt.Errorf("items of an account: %w", err)
		}
		found := s.addressed(items)
		found = slices.DeleteFunc(found, func(x Session) bool { return x.User != user })
		if len(found) == 0 {
			return nil, fmt.Errorf("%w: it names accounts that are online, but not their sessions", ErrNoList)
		}
		return found, nil
	}
	r, err := s.client.Run(ctx, UserStats, func(q Question) ([]string, bool) {
		return []string{user + "@" + s.domain}, isAccount(q.Name)
	})
	if err != nil {
		return nil, fmt.Errorf("user-stats: %w", err)
	}
	resources, ok := r.Fields["onlineresources"]
	if !ok {
		return nil, fmt.Errorf("%w: its user-stats do not name an account's resources", ErrNoList)
	}
	addresses := r.Fields["ipaddresses"]
	var out []Session
	for i, resource := range resources {
		if resource == "" {
			continue
		}
		x := Session{User: user, Resource: resource}
		if len(addresses) == len(resources) {
			x.Address = withoutPort(addresses[i])
		}
		out = append(out, x)
	}
	return out, nil
}

// withoutPort is an IP address that may have a port behind it, as ejabberd writes it even behind one of IPv6, which has no brackets there; "" if it is none.
func withoutPort(text string) string {
	ip, err := netip.ParseAddr(text)
	if i := strings.LastIndexByte(text, ':'); err != nil && i >= 0 {
		ip, err = netip.ParseAddr(strings.Trim(text[:i], "[]"))
	}
	if err != nil {
		return ""
	}
	return ip.String()
}
