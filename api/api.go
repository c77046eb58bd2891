// Package api is the REST interface: it reads requests strictly, says who may do what, asks the record and the gate, and tells errors so that
// a caller knows what is wrong and what would be right. openapi.yaml describes exactly what is here; a test holds the two together.
//
// Only errors.go knows which HTTP status an error has; only auth.go and token.go know tokens. Request and response types live beside their handlers.
package api

import (
	"cmp"
	"context"
	"crypto/hkdf"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/labstack/echo/v4"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/proxy"
	"github.com/bindgate/bindgate/store"
)

// Gate is what the API asks of the gate.
type Gate interface {
	Kick(ctx context.Context, r gate.KickRequest, wait time.Duration) (gate.KickReport, error)
	KickMany(ctx context.Context, k store.BulkKick, domains []string, by store.Actor) (job int64, err error)
	CountKick(ctx context.Context, k store.BulkKick, domains []string) (accounts, sessions int64, err error)
	Links(ctx context.Context) ([]gate.LinkStatus, error)
	SetMode(ctx context.Context, r gate.ModeRequest, wait time.Duration) (status gate.LinkStatus, applied bool, err error)
	RegisterDevice(ctx context.Context, r gate.Registration) (device int64, created bool, err error)
	ChangeDevice(ctx context.Context, c gate.DeviceChange, wait time.Duration) (gate.KickReport, error)
	ForgetDevice(ctx context.Context, account string, device int64, by store.Actor) error
	Grant(ctx context.Context, r gate.GrantRequest) (gate.Granted, error)
	Protection(ctx context.Context, account string) (gate.Protection, error)
	Release(ctx context.Context, account string, by store.Actor) error
	Erase(ctx context.Context, account string, by store.Actor, wait time.Duration) (gate.Erasure, error)
	Evaluate(ctx context.Context, e gate.Evaluation) (gate.Evaluated, error)
	Preview(ctx context.Context, r gate.PreviewRequest) (gate.Preview, error)
	Events() *gate.Feed
}

// Config is what an API is made of. Store, Gate and Keys are required.
type Config struct {
	Store    *store.Store
	Gate     Gate
	Keys     Keys   // of tokens; a Secret is one
	Issuer   string // of tokens; "": not checked
	Audience string // of tokens; "": not checked
	Logger   *slog.Logger
	Registry *prometheus.Registry // for /metrics; nil: an own one

	PrivateTargets bool           // webhooks may go to private addresses, and without TLS
	RateLimit      float64        // requests per second and token, and without a good token per client address; 0: no limit
	TrustedProxies []netip.Prefix // whose word about the client's address is taken
	KickWait       time.Duration  // how long a kick waits for proof that the sessions have ended; 0: 2 s
}

// Every request ends within requestTimeout. A change of mode waits modeWait for the modules' word.
const (
	requestTimeout = 10 * time.Second
	modeWait       = 2 * time.Second
)

type api struct {
	store   *store.Store
	gate    Gate
	auth    *authenticator
	cursors *cursors
	seeds   []byte // key of the seeds of answers' secrets
	log     *slog.Logger
	metrics *metrics
	streams chan struct{} // bounds the event streams

	privateTargets bool
	kickWait       time.Duration
	proxies        proxy.Trusted
	limits         limits
	running        *turns        // requests with a token
	exports        chan struct{} // bounds how many are made at once

	reference reference
}

// call is one request with what is known of it.
type call struct {
	echo.Context
	ctx    context.Context //nolint:containedctx // lives as long as the request
	caller *caller         // nil on routes without a scope
	claim  *store.Claim    // of the request's Idempotency-Key; nil: it has none
	query  map[string][]string

	address netip.Addr // of the client; zero: not known
}

// route is an entry of the table of routes.
type route struct {
	method, path string
	scopes       []string // one of them is enough; nil: open to everyone
	params       []string // of the query
	handle       func(*api, *call) error
}

// stream reports whether the route's answers last as long as their clients want, rather than requestTimeout. They have no turn among the others, and need a
// bound, a deadline for each write, and none for reading (http.ResponseController) of their own.
func (r route) stream() bool { return r.path == "/v1/events" || r.path == pathExport }

func oneOf(scopes ...string) []string { return scopes }

func routes() []route {
	pages := []string{"cursor", "limit"}
	get, put, post, patch, del := http.MethodGet, http.MethodPut, http.MethodPost, http.MethodPatch, http.MethodDelete
	return []route{
		{get, "/v1/sessions", oneOf(ScopeSessionsRead), append([]string{"domain", "account", "platform", "state", "q"}, pages...), (*api).listSessions},
		{get, "/v1/sessions/:id", oneOf(ScopeSessionsRead), nil, (*api).getSession},
		{del, "/v1/sessions/:id", oneOf(ScopeSessionsKick), nil, (*api).kickSession},
		{post, "/v1/sessions/lookup", oneOf(ScopeSessionsRead), nil, (*api).lookupSessions},
		{get, pathAccount, oneOf(ScopeSessionsRead), nil, (*api).getAccount},
		{patch, pathAccount, oneOf(ScopeRulesWrite), nil, (*api).changeAccount},
		{del, pathAccount, oneOf(ScopeAdmin), nil, (*api).eraseAccount},
		{get, pathExport, oneOf(ScopeAdmin), nil, (*api).exportAccount},
		{get, "/v1/accounts/:jid/sessions", oneOf(ScopeSessionsRead), append([]string{"platform", "state", "q"}, pages...), (*api).listAccountSessions},
		{get, "/v1/accounts/:jid/decisions", oneOf(ScopeSessionsRead), pages, (*api).listDecisions},
		{get, "/v1/accounts/:jid/devices", oneOf(ScopeSessionsRead), pages, (*api).listDevices},
		{post, "/v1/accounts/:jid/devices", oneOf(ScopeDevicesWrite), nil, (*api).registerDevice},
		{get, "/v1/accounts/:jid/devices/:id", oneOf(ScopeSessionsRead), nil, (*api).getDevice},
		{patch, "/v1/accounts/:jid/devices/:id", oneOf(ScopeDevicesWrite, ScopeSessionsKick), nil, (*api).changeDevice},
		{del, "/v1/accounts/:jid/devices/:id", oneOf(ScopeDevicesWrite), nil, (*api).forgetDevice},
		{post, "/v1/accounts/:jid/kick", oneOf(ScopeSessionsKick), nil, (*api).kick},
		{post, "/v1/accounts/:jid/verify", oneOf(ScopeSessionsKick), nil, (*api).verify},
		{post, "/v1/accounts/:jid/grants", oneOf(ScopeSessionsKick), nil, (*api).grant},
		{get, "/v1/accounts/:jid/protection", oneOf(ScopeSessionsKick, ScopeSessionsRead), nil, (*api).getProtection},
		{del, "/v1/accounts/:jid/protection", oneOf(ScopeSessionsKick), nil, (*api).releaseProtection},
		{get, "/v1/loops", oneOf(ScopeSessionsKick, ScopeSessionsRead), append([]string{"account"}, pages...), (*api).listLoops},
		{get, "/v1/decisions", oneOf(ScopeSessionsRead), append(slices.Clone(decisionParams), pages...), (*api).listAllDecisions},
		{post, "/v1/decisions/evaluate", oneOf(ScopeSessionsRead), nil, (*api).evaluate},
		{get, "/v1/accounts/:jid/rule", oneOf(ScopeRulesRead), nil, (*api).getAccountRule},
		{put, "/v1/accounts/:jid/rule", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).putAccountRule},
		{del, "/v1/accounts/:jid/rule", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).deleteAccountRule},
		{get, "/v1/accounts/:jid/rule/effective", oneOf(ScopeRulesRead), nil, (*api).getEffectiveRule},
		{put, "/v1/accounts/:jid/group", oneOf(ScopeRulesWrite), nil, (*api).putAccountGroup},
		{get, "/v1/groups", oneOf(ScopeRulesRead), pages, (*api).listGroups},
		{get, "/v1/groups/:group/members", oneOf(ScopeRulesRead), pages, (*api).listMembers},
		{post, "/v1/groups/:group/members", oneOf(ScopeRulesWrite), nil, (*api).changeMembers},
		{get, "/v1/groups/:group/rule", oneOf(ScopeRulesRead), nil, (*api).getGroupRule},
		{put, "/v1/groups/:group/rule", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).putGroupRule},
		{del, "/v1/groups/:group/rule", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).deleteGroupRule},
		{get, "/v1/domains", oneOf(ScopeRulesRead), pages, (*api).listDomains},
		{patch, "/v1/domains/:domain", oneOf(ScopeRulesWrite), nil, (*api).changeDomain},
		{get, "/v1/domains/:domain/rule", oneOf(ScopeRulesRead), nil, (*api).getDomainRule},
		{put, "/v1/domains/:domain/rule", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).putDomainRule},
		{del, "/v1/domains/:domain/rule", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).deleteDomainRule},
		{get, "/v1/rules", oneOf(ScopeRulesRead), append([]string{"level", "q"}, pages...), (*api).listRules},
		{get, "/v1/rules/default", oneOf(ScopeRulesRead), nil, (*api).getDefaultRule},
		{put, "/v1/rules/default", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).putDefaultRule},
		{del, "/v1/rules/default", oneOf(ScopeRulesWrite), []string{"apply"}, (*api).deleteDefaultRule},
		{post, "/v1/rules/preview", oneOf(ScopeRulesRead), nil, (*api).previewRule},
		{get, "/v1/kicks", oneOf(ScopeSessionsKick, ScopeSessionsRead, ScopeRulesRead), append([]string{"state"}, pages...), (*api).listJobs},
		{post, "/v1/kicks", oneOf(ScopeSessionsKick), nil, (*api).kickMany},
		{post, "/v1/kicks/preview", oneOf(ScopeSessionsKick), nil, (*api).countKick},
		{get, "/v1/kicks/:id", oneOf(ScopeSessionsKick, ScopeSessionsRead, ScopeRulesRead), nil, (*api).getJob},
		{del, "/v1/kicks/:id", oneOf(ScopeSessionsKick, ScopeRulesWrite), nil, (*api).cancelJob},
		{get, "/v1/events", oneOf(ScopeSessionsRead), []string{"type", "account", "last_event_id"}, (*api).streamEvents},
		{get, "/v1/webhooks", oneOf(ScopeWebhooksWrite), pages, (*api).listWebhooks},
		{post, "/v1/webhooks", oneOf(ScopeWebhooksWrite), nil, (*api).createWebhook},
		{get, "/v1/webhooks/:id", oneOf(ScopeWebhooksWrite), nil, (*api).getWebhook},
		{patch, "/v1/webhooks/:id", oneOf(ScopeWebhooksWrite), nil, (*api).changeWebhook},
		{del, "/v1/webhooks/:id", oneOf(ScopeWebhooksWrite), nil, (*api).deleteWebhook},
		{post, "/v1/webhooks/:id/rotate", oneOf(ScopeWebhooksWrite), nil, (*api).rotateWebhook},
		{post, "/v1/webhooks/:id/test", oneOf(ScopeWebhooksWrite), nil, (*api).testWebhook},
		{get, "/v1/webhooks/:id/deliveries", oneOf(ScopeWebhooksWrite), append([]string{"state"}, pages...), (*api).listDeliveries},
		{post, "/v1/webhooks/:id/deliveries/:delivery/redeliver", oneOf(ScopeWebhooksWrite), nil, (*api).redeliver},
		{get, "/v1/platforms", oneOf(ScopeAdmin), nil, (*api).getPlatforms},
		{put, "/v1/platforms", oneOf(ScopeAdmin), nil, (*api).putPlatforms},
		{get, "/v1/links", oneOf(ScopeSessionsRead), nil, (*api).listLinks},
		{put, "/v1/links/:id/mode", oneOf(ScopeAdmin), nil, (*api).putLinkMode},
		{get, "/v1/stats", oneOf(ScopeSessionsRead), nil, (*api).getStats},
		{get, "/v1/stats/history", oneOf(ScopeSessionsRead), []string{"since", "until", "step_seconds", "domain"}, (*api).getHistory},
		{get, "/v1/audit", oneOf(ScopeAdmin), append(slices.Clone(auditParams), pages...), (*api).listAudit},
		{get, "/healthz", nil, nil, (*api).getHealth},
		{get, "/readyz", nil, nil, (*api).getReady},
		{get, "/metrics", nil, nil, (*api).getMetrics},
		{get, "/openapi.yaml", nil, nil, (*api).getOpenAPI},
		{get, "/docs", nil, nil, (*api).getDocs},
	}
}

// New returns the handler of everything under /v1 and of the service's own pages. It reads the database, which has to be migrated.
func New(ctx context.Context, cfg Config) (http.Handler, error) {
	a, err := build(ctx, cfg)
	if err != nil {
		return nil, err
	}
	return a.handler(), nil
}

func build(ctx context.Context, cfg Config) (*api, error) {
	if cfg.Store == nil || cfg.Gate == nil || cfg.Keys == nil {
		return nil, fmt.Errorf("api: a store, a gate and keys are needed")
	}
	if s, ok := cfg.Keys.(Secret); ok {
		if err := s.check(); err != nil {
			return nil, err
		}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registry == nil {
		cfg.Registry = prometheus.NewRegistry()
	}
	m, err := newMetrics(cfg.Registry, cfg.Logger)
	if err != nil {
		return nil, fmt.Errorf("api: metrics: %w", err)
	}
	shared, err := cfg.Store.TokenKey(ctx)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	cs, err := newCursors(shared)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	seeds, err := hkdf.Key(sha256.New, shared, nil, "bindgate idempotency seeds 1", sha256.Size)
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	ref, err := newReference()
	if err != nil {
		return nil, fmt.Errorf("api: %w", err)
	}
	return &api{
		store: cfg.Store, gate: cfg.Gate, auth: newAuthenticator(cfg.Keys, cfg.Issuer, cfg.Audience), cursors: cs, seeds: seeds, log: cfg.Logger, metrics: m, proxies: cfg.TrustedProxies,
		limits:  limits{newLimiter[[sha256.Size]byte](cfg.RateLimit), newLimiter[netip.Prefix](cfg.RateLimit)},
		running: newTurns(maxRunning, maxQueued, maxQueue),
		exports: make(chan struct{}, exportsAtOnce), streams: make(chan struct{}, maxStreams), privateTargets: cfg.PrivateTargets,
		kickWait:  cmp.Or(cfg.KickWait, 2*time.Second),
		reference: ref,
	}, nil
}

func (a *api) handler() http.Handler {
	e := a.router()
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		// The router takes RawPath if there is one and Path else; only the escaped path tells %2F from a slash and %252F from %2F.
		u := *r.URL
		u.RawPath = u.EscapedPath()
		r = r.WithContext(r.Context()) // a copy: the request is the caller's
		r.URL = &u
		r.Body = http.MaxBytesReader(w, r.Body, maxBody)
		if r.Method == http.MethodHead {
			r = r.WithContext(context.WithValue(r.Context(), headKey{}, true))
			r.Method = http.MethodGet // net/http leaves the body out
		}
		e.ServeHTTP(w, r)
	})
}

// headKey marks the context of a request that asks for the headers alone.
type headKey struct{}

func (c *call) head() bool { return c.ctx.Value(headKey{}) != nil }

func (a *api) router() *echo.Echo {
	e := echo.New()
	e.HideBanner, e.HidePort = true, true
	e.HTTPErrorHandler = a.handleError
	e.Use(a.outer)
	for _, r := range routes() {
		e.Add(r.method, r.path, func(c echo.Context) error { return a.serve(r, c) })
	}
	return e
}

// outer surrounds every request: headers, an id, the clock, and a net for panics.
func (a *api) outer(next echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		start := time.Now()
		h := c.Response().Header()
		h.Set(headerRequestID, requestID(c.Request()))
		h.Set("Cache-Control", "no-store")
		h.Set("X-Content-Type-Options", "nosniff")
		c.Response().Before(func() {
			if allow := h.Get(echo.HeaderAllow); strings.Contains(allow, http.MethodGet) { // the router does not know of HEAD
				h.Set(echo.HeaderAllow, allow+", "+http.MethodHead)
			}
		})
		if err := caught(next, c); err != nil {
			c.Error(err)
		}
		a.metrics.observe(c, time.Since(start))
		return nil
	}
}

func caught(next echo.HandlerFunc, c echo.Context) (err error) {
	defer func() {
		if p := recover(); p != nil {
			if p == http.ErrAbortHandler { //nolint:errorlint // compared as net/http does
				panic(p)
			}
			err = panicked(p)
		}
	}()
	return next(c)
}

func (a *api) serve(r route, c echo.Context) error {
	cl := &call{Context: c, ctx: c.Request().Context(), address: a.proxies.Client(c.Request())}
	if !r.stream() {
		ctx, cancel := context.WithTimeout(cl.ctx, requestTimeout)
		defer cancel()
		cl.ctx = ctx
	}
	if r.scopes != nil {
		leave, err := a.enter(r, cl)
		if err != nil {
			return err
		}
		defer leave()
	}
	q, err := parseQuery(c.Request().URL.RawQuery, slices.Clip(r.params))
	if err != nil {
		return err
	}
	cl.query = q
	if (r.method == http.MethodGet || r.method == http.MethodDelete) && c.Request().ContentLength != 0 { // -1: in chunks
		return fail(codeMalformed, "This request takes no body.")
	}
	if r.method != http.MethodGet && len(c.Request().Header.Values(headerIdempotencyKey)) > 0 {
		return a.once(r, cl)
	}
	return r.handle(a, cl)
}

// enter lets a call in that has a good token, within its rate, or comes from within the process: with a scope of the route, and when it is its turn, which leave ends.
func (a *api) enter(r route, c *call) (leave func(), err error) {
	if c.caller = inside(c.ctx); c.caller != nil {
		c.address = c.caller.address
	} else {
		c.caller, err = a.auth.authenticate(c.ctx, c.Request())
		if err := a.admit(c, err); err != nil {
			return nil, err
		}
	}
	if !c.caller.may(r.scopes...) {
		return nil, insufficient(r.scopes...)
	}
	if r.stream() {
		return func() {}, nil
	}
	if err := a.running.take(c.ctx); err != nil {
		return nil, err
	}
	if req := c.Request(); req.Body != nil && req.Body != http.NoBody {
		req.Body = &timedBody{ReadCloser: req.Body, rc: http.NewResponseController(c.Response())}
	}
	return a.running.end, nil
}
