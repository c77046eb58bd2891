package main

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"mellium.im/xmpp/component"
	"mellium.im/xmpp/jid"
	"mellium.im/xmpp/stream"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/xmppbridge"
)

// links asks the running bindgate about its links. Only if none runs, here or elsewhere on the same database, it shakes hands itself: a second
// connection of a component takes the place of the first.
func (r *report) links(ctx context.Context, cfg *config, key secret, databaseURL string, served bool) {
	if len(cfg.Links) == 0 {
		r.warn("link", "none configured, so no login is governed: set --xmpp-component (BINDGATE_XMPP_COMPONENT) and its secret, or [[link]] in the configuration file")
	}
	for _, l := range cfg.Links {
		r.api(ctx, l)
	}
	if served {
		r.askRunning(ctx, cfg, key)
		return
	}
	owners := linkOwners(ctx, databaseURL)
	for _, l := range cfg.Links {
		what := "link " + l.Name
		if owner := owners[l.Name]; owner != "" {
			r.ok(what, "connected by the bindgate %s; left alone", owner)
			continue
		}
		if err := shakeHands(ctx, l); err != nil {
			r.fail(what, "%v", err)
			continue
		}
		r.ok(what, "%s takes the component %s and its secret", l.Addr, l.Component)
		r.logIn(ctx, l)
		r.stock(ctx, l)
	}
}

// askRunning reports GET /v1/links of the bindgate on --listen.
func (r *report) askRunning(ctx context.Context, cfg *config, key secret) {
	if key == "" {
		r.warn("link", "the running bindgate was not asked: no token for it can be made with these settings")
		return
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	token, err := cfg.mint(key, api.Claims{Subject: "doctor", Scopes: []string{api.ScopeSessionsRead}, TTL: time.Minute})
	if err != nil {
		r.fail("link", "%v", err)
		return
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(cfg.Listen)+"/v1/links", nil)
	if err != nil {
		r.fail("link", "%v", err)
		return
	}
	req.Header.Set("Authorization", "Bearer "+token)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		r.fail("link", "the running bindgate does not answer: %v", err)
		return
	}
	defer res.Body.Close()
	body, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	switch {
	case err != nil:
		r.fail("link", "the running bindgate does not answer: %v", err)
		return
	case res.StatusCode == http.StatusUnauthorized:
		r.warn("link", "the running bindgate refuses our token: it uses another secret, issuer or audience than these settings")
		return
	case res.StatusCode != http.StatusOK:
		r.fail("link", "the running bindgate answers /v1/links with %s", res.Status)
		return
	}
	var list struct {
		Items []runningLink `json:"items"`
	}
	if err := json.Unmarshal(body, &list); err != nil {
		r.fail("link", "the answer of the running bindgate is not understood: %v", err)
		return
	}
	for _, l := range list.Items {
		r.running(l)
	}
	for _, l := range cfg.Links {
		if !slices.ContainsFunc(list.Items, func(o runningLink) bool { return o.ID == l.Name }) {
			r.warn("link "+l.Name, "configured here, but the running bindgate does not have it: restart it with these settings")
		}
	}
}

// runningLink is what doctor needs of an item of GET /v1/links.
type runningLink struct {
	ID        string `json:"id"`
	State     string `json:"state"`
	Owner     string `json:"owner"`
	LastError string `json:"last_error"`
	Abilities []struct {
		Name string `json:"name"`
		Can  bool   `json:"can"`
		Why  string `json:"why"`
	} `json:"abilities"`
	Driver  string `json:"driver"`
	Domains []struct {
		Domain        string   `json:"domain"`
		Server        string   `json:"server"`
		ServerVersion string   `json:"server_version"`
		Mode          string   `json:"mode"`
		Missing       []string `json:"missing_abilities"`
		Problem       string   `json:"problem"`
	} `json:"domains"`
	SelfTest *client.SelfTest `json:"self_test"`
}

func (r *report) running(l runningLink) {
	what := "link " + l.ID
	switch {
	case l.State == "unowned":
		r.warn(what, "no bindgate holds it: its lease ends in seconds if a process has just gone; if it is not wanted any more, nothing is to be done")
		return
	case l.State != "up":
		r.fail(what, "%s: %s", l.State, cmp.Or(l.LastError, "no connection yet"))
		return
	case len(l.Domains) == 0:
		r.warn(what, "up, but no virtual host has said hello: load the module bindgate on the hosts and set bindgate_component")
		return
	}
	for _, d := range l.Domains {
		switch {
		case d.Problem != "":
			r.fail(what, "%s: %s", d.Domain, d.Problem)
		case d.Mode != "enforce":
			r.warn(what, "%s is in mode %s: no login is refused", d.Domain, d.Mode)
		case len(d.Missing) > 0:
			r.warn(what, "%s: its module lacks %s: update it", d.Domain, strings.Join(d.Missing, ", "))
		default:
			r.ok(what, "up, %s on %s %s", d.Domain, d.Server, d.ServerVersion)
		}
	}
	r.selfTest(what, l)
	if l.Driver == xmppbridge.DriverGate {
		return
	}
	for _, a := range l.Abilities { // it is so, and not wrong
		if !a.Can {
			r.ok(what, "cannot %s: %s", a.Name, a.Why)
		}
	}
}

// linkOwners are the links that a bindgate holds under a lease at this moment, by name.
func linkOwners(ctx context.Context, url string) map[string]string {
	owners := map[string]string{}
	if url == "" {
		return owners
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return owners
	}
	defer conn.Close(ctx)
	rows, err := conn.Query(ctx, `select name, coalesce(nullif(owner_name, ''), 'of another machine') from links where owner is not null and expires_at > clock_timestamp()`)
	if err != nil {
		return owners // no schema yet: nobody holds one
	}
	var name, owner string
	_, err = pgx.ForEachRow(rows, []any{&name, &owner}, func() error { owners[name] = owner; return nil })
	if err != nil {
		return map[string]string{}
	}
	return owners
}

// shakeHands connects as the component and leaves at once (XEP-0114 §3).
func shakeHands(ctx context.Context, l linkConfig) error {
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	addr, err := jid.New("", l.Component, "")
	if err != nil {
		return fmt.Errorf("component %s: %w", l.Component, err)
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", l.Addr)
	if err != nil {
		return fmt.Errorf("%s cannot be reached: %w: is the XMPP server running, and is this its component port?", l.Addr, err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	session, err := component.NewSession(ctx, addr, []byte(l.Secret), conn)
	if err != nil {
		return handshakeError(l, err)
	}
	return session.Close()
}

func handshakeError(l linkConfig, err error) error {
	switch {
	case errors.Is(err, stream.NotAuthorized):
		return fmt.Errorf("%s refuses the secret of the component %s: it has to be the component_secret of Prosody's configuration, or the password under hosts of ejabberd's, which refuses components that it does not have in the same words", l.Addr, l.Component)
	case errors.Is(err, stream.HostUnknown):
		return fmt.Errorf("%s does not know the component %s: add Component %q to the XMPP server's configuration", l.Addr, l.Component, l.Component)
	case errors.Is(err, stream.Conflict):
		return fmt.Errorf("%s has this component connected already and keeps it: set component_conflict_resolve = \"kick_old\" there", l.Addr)
	}
	return fmt.Errorf("%s: the component handshake failed: %w: is this the component port, and is the secret right?", l.Addr, err)
}

// served reports whether a bindgate answers on addr.
func served(ctx context.Context, addr string) bool {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+reachable(addr)+"/openapi.yaml", nil)
	if err != nil {
		return false
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return false
	}
	defer res.Body.Close()
	head, err := io.ReadAll(io.LimitReader(res.Body, 4096))
	return err == nil && res.StatusCode == http.StatusOK && strings.Contains(strings.ToLower(string(head)), "bindgate")
}

// reachable turns an address to listen on into one to connect to.
func reachable(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if ip := net.ParseIP(host); err == nil && (host == "" || ip != nil && ip.IsUnspecified()) {
		return net.JoinHostPort("localhost", port)
	}
	return addr
}
