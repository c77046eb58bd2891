// Package dashboard is what operators look at and steer by: HTML pages, made on the server, that work without scripts and change by themselves with them.
//
// It is a client of the REST API. Every page reads, and every form writes, through package client over a transport within the process, with the rights of
// the user as the caller's scopes and domains: what may be seen and done, how input is checked and what the audit says is decided in one place. Only users
// and their login sessions are the dashboard's own.
//
// A page is a file here (its handlers), one in templates (what it looks like) and one in locale (its words); routes.go names them all. A handler returns an
// error instead of writing one. Whatever an XMPP client, server or caller can choose is hostile: it is shown by text and clip, which make it visible, short and
// unable to reorder what is around it.
//
// Goroutines: one for each call of the API, for as long as the handler that waits for it; none of its own.
package dashboard

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/signon"
	"github.com/bindgate/bindgate/store"
)

// Root is the path below which everything of the dashboard is.
const Root = "/dashboard"

// Caller is who the API is to take a request of a user's for.
type Caller struct {
	User    int64 // the user's, never another's
	Subject string
	Scopes  []string
	Domains []string   // nil: all
	Address netip.Addr // zero: not known
}

// Config is what a dashboard is made of. API, As, Events, Store and People are required.
type Config struct {
	API    http.Handler                                  // the REST API
	As     func(context.Context, Caller) context.Context // makes requests of this process to API the caller's
	Events *gate.Feed
	Store  *store.Store     // users and their login sessions
	People *people.People   // of the store
	SignOn *signon.Provider // by whom people log in beside passwords; nil: nobody
	Logger *slog.Logger

	Address  func(*http.Request) netip.Addr        // of the client; nil: it is never known
	Stopping func(context.Context) context.Context // of a request's context, one that ends when the server begins to shut down; nil: none
	Secure   func(*http.Request) bool              // whether the browser came by https; nil: whether the connection has TLS
	Now      func() time.Time                      // nil: time.Now
}

// pageTimeout bounds a page with all its calls. It is longer than that of a call of the API, so that the call says what is wrong.
const pageTimeout = 12 * time.Second

// Dashboard answers the requests below Root.
type Dashboard struct {
	cfg     Config
	api     *client.Client
	words   *words
	views   *views
	assets  *assets
	pages   http.Handler
	least   map[string]Role // of the pages to be read, by their paths
	streams streams         // the live ones
	way     way             // by which people log in
	log     *slog.Logger
}

// look is what the dashboard is made of that is in the binary.
type look struct {
	assets *assets
	words  *words
	views  *views
}

// embedded is read once: to parse the templates takes longer than anything that a page does.
var embedded = sync.OnceValues(func() (*look, error) {
	l := &look{}
	var err error
	if l.assets, err = newAssets(); err != nil {
		return nil, fmt.Errorf("assets: %w", err)
	}
	if l.words, err = newWords(); err != nil {
		return nil, fmt.Errorf("texts: %w", err)
	}
	if l.views, err = newViews(l.words, l.assets); err != nil {
		return nil, fmt.Errorf("templates: %w", err)
	}
	return l, nil
})

// New returns the handler of everything below Root. What is wrong with a template, a text or an asset is found here.
func New(_ context.Context, cfg Config) (*Dashboard, error) {
	if cfg.API == nil || cfg.As == nil || cfg.Events == nil || cfg.Store == nil || cfg.People == nil {
		return nil, errors.New("dashboard: an API, a way to call it, events, a store and people are needed")
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Address == nil {
		cfg.Address = func(*http.Request) netip.Addr { return netip.Addr{} }
	}
	if cfg.Stopping == nil {
		cfg.Stopping = func(context.Context) context.Context { return context.Background() }
	}
	if cfg.Secure == nil {
		cfg.Secure = func(r *http.Request) bool { return r.TLS != nil }
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	d := &Dashboard{cfg: cfg, log: cfg.Logger, streams: streams{of: map[int64]int{}}}
	var err error
	// The host is never looked up; the token is what the client insists on, and the API does not look at it.
	d.api, err = client.New("http://bindgate.internal", client.StaticToken("inside"), client.Config{HTTPClient: &http.Client{Transport: transport{cfg.API}}, Timeout: pageTimeout, Attempts: 1, UserAgent: "dashboard"})
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	look, err := embedded()
	if err != nil {
		return nil, fmt.Errorf("dashboard: %w", err)
	}
	d.assets, d.words, d.views = look.assets, look.words, look.views
	d.least = map[string]Role{}
	for _, r := range routes() {
		if r.method == http.MethodGet {
			d.least[r.path] = r.least
		}
	}
	d.pages = d.crossOrigin(d.mux())
	return d, nil
}
