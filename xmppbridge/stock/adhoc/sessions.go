package adhoc

import (
	"context"
	"encoding/xml"
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/bindgate/bindgate/xmppbridge"
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
			return nil, fmt.Errorf("online users: %w", err)
		}
		return s.ofAccounts(ctx, byAccount(s.addressed(items)))
	case ByPresences:
		r, err := s.client.Run(ctx, s.command, s.wholeList)
		if err != nil {
			return nil, fmt.Errorf("get-active-presences: %w", err)
		}
		return s.present(r.Fields["activeuserpresences"]), nil
	}
	detailed := false
	r, err := s.client.Run(ctx, s.command, func(q Question) ([]string, bool) {
		detailed = detailed || q.Name == "details"
		return s.wholeList(q)
	})
	if err != nil {
		return nil, fmt.Errorf("list of users: %w", err)
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

// SessionsOf are those of one account. Where they cannot be asked for alone, everything is listed.
func (s *Server) SessionsOf(ctx context.Context, user string) ([]Session, error) {
	s.mu.Lock()
	alone := s.stats && s.list != ByPresences && !s.named
	s.mu.Unlock()
	if alone {
		return s.ofAccount(ctx, user)
	}
	all, err := s.Sessions(ctx)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(all, func(x Session) bool { return x.User != user }), nil
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
	case "details":
		return []string{"1"}, q.Type == "boolean"
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
			// What the server cannot tell of one account does not hide all others: it has the sessions that the list names, or none.
			if _, said := errors.AsType[*xmppbridge.StanzaError](err); err != nil && (named == nil && !said || refused(err, forbidding...) || ctx.Err() != nil) {
				return err
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				out = append(out, named...)
				return nil
			}
			if out = append(out, sessions...); agrees(a.details, sessions) {
				next[a.user] = seen{a.details, sessions}
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = next
	return out, nil
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
	if _, said := errors.AsType[*NoteError](err); said {
		return nil, nil // it is not there any more
	}
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
