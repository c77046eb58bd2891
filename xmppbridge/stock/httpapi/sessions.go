package httpapi

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
)

// listed is a session as ejabberd's API shows it.
type listed struct {
	JID        string `json:"jid"` // connected_users_info only
	Connection string `json:"connection"`
	IP         string `json:"ip"`
	Port       int    `json:"port"`
	Node       string `json:"node"`
	Uptime     int64  `json:"uptime"` // seconds
	Resource   string `json:"resource"`
}

// session is what stock makes of it. A client's port tells it from all others on its resource; a session that was resumed (XEP-0198) has another one, and is a new
// session to ejabberd too.
func (l listed) session(user string, now time.Time) stock.Session {
	s := stock.Session{
		User: user, Resource: l.Resource, Mark: fmt.Sprintf("%s %s:%d", l.Node, l.IP, l.Port), Started: now.Add(-time.Duration(max(l.Uptime, 0)) * time.Second),
		Made: made(l.Resource), IP: strings.TrimPrefix(l.IP, "::ffff:"), Secure: l.Connection == "c2s_tls" || l.Connection == "c2s_compressed_tls",
	}
	switch l.Connection {
	case "c2s", "c2s_tls", "c2s_compressed", "c2s_compressed_tls":
		s.Transport = "tcp"
	case "websocket":
		s.Transport = "websocket"
	case "http_bind", "http_poll":
		s.Transport = "bosh"
	}
	return s
}

// made reports whether a resource looks like those that ejabberd makes: a long number. It does not say which it has made.
func made(resource string) bool {
	return len(resource) >= 16 && strings.Trim(resource, "0123456789") == ""
}

// account is the argument of calls about one account.
type account struct {
	User string `json:"user"`
	Host string `json:"host"`
}

type server struct{ *Driver }

// List implements stock.Lister.
func (s server) List(ctx context.Context, domains []string) (map[string][]stock.Session, error) {
	var all []listed
	now := time.Now()
	if err := s.call(ctx, listAll, struct{}{}, &all); err != nil {
		return nil, err
	}
	out := map[string][]stock.Session{}
	for _, l := range all {
		bare, _, _ := strings.Cut(l.JID, "/")
		user, domain, ok := strings.Cut(bare, "@")
		if ok && slices.Contains(domains, domain) {
			out[domain] = append(out[domain], l.session(user, now))
		}
	}
	return out, nil
}

// ListUser implements stock.Lister.
func (s server) ListUser(ctx context.Context, domain, user string) ([]stock.Session, error) {
	var all []listed
	now := time.Now()
	if err := s.call(ctx, listUser, account{user, domain}, &all); err != nil {
		return nil, err
	}
	var out []stock.Session
	for _, l := range all {
		out = append(out, l.session(user, now))
	}
	return out, nil
}

// Kick implements stock.Kicker. The answer is 0 also for a session that is not there.
func (s server) Kick(ctx context.Context, domain string, k gate.Kick) error {
	return s.call(ctx, kick, struct {
		account
		Resource string `json:"resource"`
		Reason   string `json:"reason"`
	}{account{k.User, domain}, k.Resource, k.Text}, nil)
}

// Open implements stock.Driver: it calls each command once, where it can do no harm.
func (d *Driver) Open(ctx context.Context, _ xmppbridge.Stream, domains []string) (*stock.Server, error) {
	for _, f := range d.Check(ctx, domains) {
		if f.Err != nil && !f.Optional {
			return nil, f.Err
		}
	}
	s := server{d}
	return &stock.Server{Lister: s, Kicker: s, Name: "ejabberd", Able: able}, nil
}

// Finding is what came of trying one thing.
type Finding struct {
	What     string
	Optional bool // works without
	Err      error
}

// Check tries the API and says what came of each thing that this driver needs. When the API cannot be reached at all that is the only finding.
func (d *Driver) Check(ctx context.Context, domains []string) []Finding {
	nobody := account{"bindgate-" + strings.ToLower(rand.Text()[:12]), domains[0]} // an account that nobody has
	var vhosts []string
	out := []Finding{{What: listAll, Err: d.call(ctx, listAll, struct{}{}, &[]listed{})}}
	if e, ok := errors.AsType[*CallError](out[0].Err); ok && !e.allowed() {
		return out
	}
	out = append(out,
		Finding{What: listUser, Err: d.call(ctx, listUser, nobody, &[]listed{})},
		Finding{What: kick, Err: server{d}.Kick(ctx, nobody.Host, gate.Kick{User: nobody.User, Resource: "none", Text: "none"})},
		Finding{What: hosts, Optional: true, Err: d.call(ctx, hosts, struct{}{}, &vhosts)},
	)
	if out[3].Err != nil {
		out[3].Err = fmt.Errorf("whether the domains of the link are the server's own is not checked: %w", out[3].Err)
		return out
	}
	for _, domain := range domains {
		f := Finding{What: "domain " + domain}
		if !slices.Contains(vhosts, domain) {
			f.Err = fmt.Errorf("%s is not among the hosts of this ejabberd, which are %s: set domains of the [[link]]", domain, strings.Join(vhosts[:min(len(vhosts), 20)], ", "))
		}
		out = append(out, f)
	}
	return out
}

// allowed reports whether there is an API at all, which refuses one command.
func (e *CallError) allowed() bool {
	return e.Status == http.StatusUnauthorized || e.Status == http.StatusForbidden || strings.Contains(e.Text, "mod_admin_extra")
}

// able is what ejabberd's API can. What is not here no server without a module can.
var able = []gate.Ability{
	{Name: "kick", Can: true, Why: "By kick_session, which says yes whatever comes of it: the next list of the account's sessions is the proof."},
	{Name: "conflict", Can: true},
	{Name: "text", Can: true},
	{Name: "language", Can: false, Why: "ejabberd's API does not tell a client's language: texts are in the account's or its domain's, and ejabberd marks each as English."},
	{Name: "same_resource", Can: false, Why: "ejabberd itself ends the older of two sessions with one resource before bindgate sees the newer. With resource_conflict: setresource it gives the newer another resource, and rules decide."},
}
