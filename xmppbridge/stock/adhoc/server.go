package adhoc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/xmppbridge"
)

// The commands of XEP-0133 that are used here, and the command that Openfire has besides.
const (
	EndUserSession  = nsAdmin + "#end-user-session"      // §4.6
	UserStats       = nsAdmin + "#user-stats"            // §4.9
	OnlineUsersList = nsAdmin + "#get-online-users-list" // §4.18
	OnlineUsers     = nsAdmin + "#get-online-users"      // the same in older versions
	ActiveUsers     = nsAdmin + "#get-active-users"      // §4.19
	ActivePresences = nsAdmin + "#get-active-presences"  // Openfire: those sessions' presence
)

// onlineNode is where ejabberd lists all sessions of a virtual host by service discovery.
const onlineNode = "online users"

// Way is how a server's sessions are listed.
type Way string

// The ways, in order of preference.
const (
	// ByDisco is ejabberd's list: one request for all sessions.
	ByDisco Way = "disco"
	// ByOnlineUsers is the command that lists the accounts that are online. Some servers name their sessions there; the others are asked about each account.
	ByOnlineUsers Way = "online-users"
	// ByPresences lists sessions that have sent presence.
	ByPresences Way = "presences"
	// ByActiveUsers is the command that lists the accounts that have a session with presence; they are asked about like online ones.
	ByActiveUsers Way = "active-users"
)

// Why Discover fails for good.
var (
	// ErrNoCommands is a server without service administration.
	ErrNoCommands = errors.New("the server has no command to end a user's session (XEP-0133)")
	// ErrNoRight is a server that has it, but not for this component.
	ErrNoRight = errors.New("this component may not run the server's commands of administration (XEP-0133)")
	// ErrNoList is a server that does not tell which sessions there are.
	ErrNoList = errors.New("the server has no command that tells which sessions there are")
)

// Server is what a component can see of a virtual host and do to it as its administrator. Its methods may be called from several goroutines.
type Server struct {
	client *Client
	domain string

	software string
	list     Way
	command  string   // the command behind list
	stats    bool     // accounts can be asked about by UserStats
	ending   []string // the fields of EndUserSession

	*memory
}

// memory is what was found out about a virtual host's accounts. It outlives lists that fail and connections, so that a first list that takes longer than it may goes on where it stopped.
type memory struct {
	mu    sync.Mutex // guards what follows
	seen  map[string]seen
	last  map[string][]Session // what each account had when it was last told
	named bool                 // the last list named sessions
	brief time.Time            // until then lists are asked for without details: with them they are too large
}

func newMemory() *memory { return &memory{seen: map[string]seen{}, last: map[string][]Session{}} }

// Discover finds out what the server of domain offers to the component. It opens the command that ends sessions and cancels it, so that the right to run it is known and not
// assumed. The error is ErrNoCommands, ErrNoRight or ErrNoList with more words around it, or what kept the server from answering.
func Discover(ctx context.Context, conn Conn, domain string) (*Server, error) {
	s := &Server{client: NewClient(conn, domain), domain: domain, memory: newMemory()}
	s.software = s.client.software(ctx) // nothing but words depends on it

	items, err := s.client.Items(ctx, domain, "")
	if _, said := errors.AsType[*xmppbridge.StanzaError](err); err != nil && !said {
		return nil, fmt.Errorf("%s: list of items: %w", domain, err)
	}
	commands, err := s.find(ctx, items)
	switch {
	case refused(err, lacking...):
		return nil, fmt.Errorf("%s: %w: %w", domain, ErrNoCommands, err)
	case refused(err, forbidding...):
		return nil, fmt.Errorf("%s: %w: %w", domain, ErrNoRight, err)
	case err != nil:
		return nil, fmt.Errorf("%s: list of commands: %w", domain, err)
	}
	s.ending, err = s.client.look(ctx, EndUserSession)
	switch {
	case refused(err, forbidding...):
		return nil, fmt.Errorf("%s: %w: %w", domain, ErrNoRight, err)
	case refused(err, lacking...):
		return nil, fmt.Errorf("%s: %w: %w", domain, ErrNoCommands, err)
	case err != nil:
		return nil, fmt.Errorf("%s: end-user-session: %w", domain, err)
	case !slices.ContainsFunc(s.ending, isAccount):
		return nil, fmt.Errorf("%s: %w: its form asks for %q, and not for the account", domain, ErrNoCommands, s.ending)
	}
	if err := s.chooseList(items, commands); err != nil {
		return nil, err
	}
	return s, nil
}

// What servers say when they do not have a command, and when it is not for the component.
var (
	lacking    = []string{"service-unavailable", "feature-not-implemented", "item-not-found", "bad-request"}
	forbidding = []string{"forbidden", "not-allowed", "not-authorized"}
)

// maxPlaces is how many addresses on the domain are asked for their commands besides the domain.
const maxPlaces = 8

// find returns the commands of where sessions can be ended: the domain or, as on Tigase, a part of the server that has an address on it.
func (s *Server) find(ctx context.Context, items []Item) ([]string, error) {
	commands, err := s.client.Commands(ctx)
	if slices.Contains(commands, EndUserSession) {
		return commands, nil
	}
	places := 0
	for _, i := range items {
		_, resource, ok := s.local(i.JID)
		if !ok || resource != "" || i.Node != "" || places == maxPlaces {
			continue
		}
		places++
		part := NewClient(s.client.conn, i.JID)
		if theirs, err := part.Commands(ctx); err == nil && slices.Contains(theirs, EndUserSession) {
			s.client = part
			return theirs, nil
		}
	}
	return commands, err
}

// chooseList chooses how to list sessions.
func (s *Server) chooseList(items []Item, commands []string) error {
	has := func(node string) bool { return slices.Contains(commands, node) }
	s.stats = has(UserStats)
	switch {
	case slices.ContainsFunc(items, func(i Item) bool { return i.Node == onlineNode }):
		s.list = ByDisco
	case has(ActivePresences) && !s.stats: // Openfire names accounts alone in its other lists
		s.list, s.command = ByPresences, ActivePresences
	case has(OnlineUsersList):
		s.list, s.command = ByOnlineUsers, OnlineUsersList
	case has(OnlineUsers):
		s.list, s.command = ByOnlineUsers, OnlineUsers
	case has(ActiveUsers):
		s.list, s.command = ByActiveUsers, ActiveUsers
	default:
		return fmt.Errorf("%s: %w: it offers %d commands, but neither get-online-users-list nor get-active-users", s.domain, ErrNoList, len(commands))
	}
	return nil
}

// Software is what the server calls itself, "" if it does not say.
func (s *Server) Software() string { return s.software }

// List is how its sessions are listed.
func (s *Server) List() Way { return s.list }

// Explains reports whether the server can be given a reason for ending a session, that it may show to the client.
func (s *Server) Explains() bool { return slices.Contains(s.ending, "reason") }

// isAccount recognizes the field for the session that is to end: XEP-0133 has accountjids, ejabberd accountjid.
func isAccount(name string) bool { return name == "accountjids" || name == "accountjid" }

// End ends one session. No error means that the server has taken the command and not that the session is gone: some answer so for sessions that they do not have, and
// for clients that have not hung up yet. reason is for the client, where the server takes one.
func (s *Server) End(ctx context.Context, user, resource, reason string) error {
	if user == "" || resource == "" { // the command would end all sessions of the account
		return errors.New("end-user-session: not the address of a session")
	}
	jid := user + "@" + s.domain + "/" + resource
	r, err := s.client.Run(ctx, EndUserSession, func(q Question) ([]string, bool) {
		switch {
		case isAccount(q.Name):
			return []string{jid}, true
		case q.Name == "reason":
			return []string{reason}, reason != ""
		}
		return nil, false
	})
	if said := r.Fields["Errors"]; err == nil && len(said) > 0 { // Tigase's
		err = &NoteError{strings.Join(said, " ")}
	}
	if err != nil {
		return fmt.Errorf("end-user-session: %w", err)
	}
	return nil
}

// local is the user of an address on the domain, and its resource. ok is false for other addresses.
func (s *Server) local(jid string) (user, resource string, ok bool) {
	bare, resource, _ := strings.Cut(jid, "/")
	user, domain, found := strings.Cut(bare, "@")
	return user, resource, found && user != "" && domain == s.domain
}
