// Package signon logs people in by a provider of OpenID Connect: the authorization code flow with PKCE (OpenID Connect Core 1.0 §3.1, RFC 7636).
//
// A login under way is kept in the browser alone, as one secret; state, nonce and verifier are derived from it, so that an answer is good for the browser that
// asked, and no other. The provider is asked for its addresses when they are needed first: that it cannot be reached stops nothing but logins by it. Its
// answers are bounded in time and size, and taken over https only (http from this machine).
package signon

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"

	"github.com/bindgate/bindgate/internal/target"
	"github.com/bindgate/bindgate/store"
)

var (
	// ErrAway is returned when the provider cannot be reached now, or does not answer as it should.
	ErrAway = errors.New("signon: the provider does not answer")
	// ErrInvalid is returned for an answer that does not belong to a login that this browser has begun, or that the provider did not give.
	ErrInvalid = errors.New("signon: not an answer to this login")
	// ErrRefused is returned for somebody whom the provider knows, but whose claims name no role here, or whom it did not let in.
	ErrRefused = errors.New("signon: not let in")
)

// Secret is the client's. It prints as [redacted].
type Secret string

// String hides the secret.
func (Secret) String() string { return "[redacted]" }

// GoString hides the secret.
func (Secret) GoString() string { return "[redacted]" }

// LogValue hides the secret.
func (Secret) LogValue() slog.Value { return slog.StringValue("[redacted]") }

// Config says who the provider is. Issuer, ClientID and RedirectURL are required.
type Config struct {
	Issuer       string // a URL, exactly as the provider calls itself
	ClientID     string
	ClientSecret Secret // "": a public client
	RedirectURL  string // where the provider sends people back to, as it is registered there
	Scopes       []string
	Roles        Roles
	Transport    http.RoundTripper // nil: http.DefaultTransport
}

const (
	answerTimeout = 5 * time.Second                   // of each request to the provider
	answerSize    = 1 << 20                           // in bytes
	knownFor      = time.Hour                         // the provider's addresses
	awayFor       = 3 * time.Second                   // it is not asked again after it did not answer
	maxParameter  = 4096                              // of what the browser brings back, in bytes
	leastSecret   = len("26 letters and digits here") // of a login under way
)

// Provider is the one that people log in by. It is safe for concurrent use.
type Provider struct {
	cfg    Config
	client *http.Client

	mu     sync.Mutex // held while it is asked for its addresses: one asks for all
	found  *provider  // nil: not yet
	until  time.Time  // it is not to be asked again
	failed error      // why it could not be asked last
}

// provider is what the provider says of itself.
type provider struct {
	*oidc.Provider
	oauth oauth2.Config
}

// New returns a provider, of which nothing is asked yet.
func New(cfg Config) (*Provider, error) {
	if err := CheckURL(cfg.Issuer); err != nil {
		return nil, fmt.Errorf("issuer: %w", err)
	}
	if cfg.ClientID == "" || cfg.RedirectURL == "" {
		return nil, errors.New("signon: a client id and a redirect URL are needed")
	}
	transport := cfg.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	p := &Provider{cfg: cfg}
	p.client = &http.Client{Transport: bounded{transport}, Timeout: answerTimeout, CheckRedirect: func(req *http.Request, via []*http.Request) error {
		if len(via) >= 3 {
			return errors.New("too many redirects")
		}
		return CheckURL(req.URL.String())
	}}
	return p, nil
}

// Host is the provider's, to name it by.
func (p *Provider) Host() string {
	u, err := url.Parse(p.cfg.Issuer)
	if err != nil { // checked by New
		return ""
	}
	return u.Host
}

// CheckURL says what is wrong with an address of a provider.
func CheckURL(s string) error {
	u, err := url.Parse(s)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "":
		return errors.New("not a URL: it looks like https://id.example.org")
	case u.User != nil || u.Fragment != "":
		return errors.New("a URL with a user or a fragment: leave it out")
	}
	if target.Secure(u) {
		return nil
	}
	return fmt.Errorf("%s://%s: people log in over https only (http on this machine: 127.0.0.1, ::1 or localhost)", u.Scheme, u.Host)
}

// bounded cuts answers that are longer than any should be.
type bounded struct{ http.RoundTripper }

// RoundTrip implements http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	res, err := b.RoundTripper.RoundTrip(r)
	if err == nil {
		res.Body = struct {
			io.Reader
			io.Closer
		}{io.LimitReader(res.Body, answerSize), res.Body}
	}
	return res, err
}

// ask returns what the provider says of itself, at most an hour old unless it is away.
func (p *Provider) ask(ctx context.Context) (*provider, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Now().Before(p.until) {
		return p.found, p.failed
	}
	fresh, err := p.discover(ctx)
	switch {
	case err == nil:
		p.found, p.failed, p.until = fresh, nil, time.Now().Add(knownFor)
	case p.found != nil:
		p.until = time.Now().Add(awayFor)
	default:
		p.failed, p.until = fmt.Errorf("%w: %w", ErrAway, err), time.Now().Add(awayFor)
	}
	return p.found, p.failed
}

func (p *Provider) discover(ctx context.Context) (*provider, error) {
	// Of the caller only its values: what is found out is for all, and the client has a timeout.
	found, err := oidc.NewProvider(oidc.ClientContext(context.WithoutCancel(ctx), p.client), p.cfg.Issuer)
	if err != nil {
		return nil, err
	}
	var said struct {
		Methods []string `json:"token_endpoint_auth_methods_supported"`
	}
	if err := found.Claims(&said); err != nil {
		return nil, err
	}
	end := found.Endpoint()
	for _, u := range []string{end.AuthURL, end.TokenURL} {
		if err := CheckURL(u); err != nil {
			return nil, fmt.Errorf("the provider's address %q: %w", u, err)
		}
	}
	end.AuthStyle = oauth2.AuthStyleInHeader // what is supported if nothing is said (OpenID Connect Discovery 1.0 §3)
	if p.cfg.ClientSecret == "" || len(said.Methods) > 0 && !slices.Contains(said.Methods, "client_secret_basic") {
		end.AuthStyle = oauth2.AuthStyleInParams
	}
	return &provider{found, oauth2.Config{
		ClientID: p.cfg.ClientID, ClientSecret: string(p.cfg.ClientSecret), Endpoint: end, RedirectURL: p.cfg.RedirectURL,
		Scopes: append([]string{oidc.ScopeOpenID}, p.cfg.Scopes...),
	}}, nil
}

// derive makes one of the secrets of a login under way.
func derive(pending, use string) string {
	mac := hmac.New(sha256.New, []byte(pending))
	mac.Write([]byte(use))
	return base64.RawURLEncoding.EncodeToString(mac.Sum(nil))
}

// Begin returns where the browser has to go, and the secret that it has to keep until it comes back. ErrAway.
func (p *Provider) Begin(ctx context.Context) (to, pending string, err error) {
	known, err := p.ask(ctx)
	if err != nil {
		return "", "", err
	}
	pending = rand.Text()
	return known.oauth.AuthCodeURL(derive(pending, "state"), oidc.Nonce(derive(pending, "nonce")), oauth2.S256ChallengeOption(derive(pending, "verifier"))), pending, nil
}

// Finish takes what the provider had the browser bring back, and the secret that it kept, and returns who it is. ErrInvalid, ErrRefused, ErrAway.
func (p *Provider) Finish(ctx context.Context, brought url.Values, pending string) (store.Vouched, error) {
	if len(pending) < leastSecret {
		return store.Vouched{}, fmt.Errorf("%w: the browser has begun none", ErrInvalid)
	}
	for _, name := range []string{"state", "code", "error", "iss"} {
		if values := brought[name]; len(values) > 1 || len(values) == 1 && len(values[0]) > maxParameter {
			return store.Vouched{}, fmt.Errorf("%w: %s", ErrInvalid, name)
		}
	}
	if !same(brought.Get("state"), derive(pending, "state")) {
		return store.Vouched{}, fmt.Errorf("%w: state", ErrInvalid)
	}
	if iss := brought.Get("iss"); iss != "" && iss != p.cfg.Issuer { // RFC 9207
		return store.Vouched{}, fmt.Errorf("%w: iss is %q", ErrInvalid, iss)
	}
	switch why := brought.Get("error"); why {
	case "":
	case "temporarily_unavailable", "server_error":
		return store.Vouched{}, fmt.Errorf("%w: error %q", ErrAway, why)
	default:
		return store.Vouched{}, fmt.Errorf("%w by the provider: error %q", ErrRefused, why)
	}
	known, err := p.ask(ctx)
	if err != nil {
		return store.Vouched{}, err
	}
	ctx = oidc.ClientContext(ctx, p.client)
	token, err := known.oauth.Exchange(ctx, brought.Get("code"), oauth2.VerifierOption(derive(pending, "verifier")))
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.ErrorCode != "" && refused.ErrorCode != "invalid_client":
		return store.Vouched{}, fmt.Errorf("%w: code: error %q", ErrInvalid, refused.ErrorCode)
	case err != nil:
		return store.Vouched{}, fmt.Errorf("%w: %w", ErrAway, err)
	}
	return p.read(ctx, known, token, derive(pending, "nonce"))
}

// read checks the token of somebody's identity (OpenID Connect Core 1.0 §3.1.3.7).
func (p *Provider) read(ctx context.Context, known *provider, token *oauth2.Token, nonce string) (store.Vouched, error) {
	raw, ok := token.Extra("id_token").(string)
	if !ok {
		return store.Vouched{}, fmt.Errorf("%w: there is no id_token", ErrInvalid)
	}
	id, err := known.VerifierContext(ctx, &oidc.Config{ClientID: p.cfg.ClientID}).Verify(ctx, raw)
	if err != nil {
		return store.Vouched{}, fmt.Errorf("%w: id_token: %w", ErrInvalid, err)
	}
	if !same(id.Nonce, nonce) {
		return store.Vouched{}, fmt.Errorf("%w: nonce", ErrInvalid)
	}
	var c claims
	if err := id.Claims(&c); err != nil {
		return store.Vouched{}, fmt.Errorf("%w: claims: %w", ErrInvalid, err)
	}
	if azp, there := c["azp"].(string); there && azp != p.cfg.ClientID || len(id.Audience) > 1 && !there {
		return store.Vouched{}, fmt.Errorf("%w: azp", ErrInvalid)
	}
	if id.Subject == "" || len(id.Subject) > 255 {
		return store.Vouched{}, fmt.Errorf("%w: sub has %d characters", ErrInvalid, len(id.Subject))
	}
	if known.UserInfoEndpoint() != "" && !p.cfg.Roles.toldBy(c) { // some tell it there alone
		info, err := known.UserInfo(ctx, oauth2.StaticTokenSource(token))
		if err != nil {
			return store.Vouched{}, fmt.Errorf("%w: userinfo: %w", ErrAway, err)
		}
		if info.Subject != id.Subject { // §5.3.2
			return store.Vouched{}, fmt.Errorf("%w: userinfo is of somebody else", ErrInvalid)
		}
		if err := info.Claims(&c); err != nil {
			return store.Vouched{}, fmt.Errorf("%w: userinfo: %w", ErrInvalid, err)
		}
	}
	v := store.Vouched{Issuer: id.Issuer, Subject: id.Subject, Name: c.name(id.Subject)}
	v.Role, v.Domains, err = p.cfg.Roles.of(c)
	return v, err
}

func same(a, b string) bool { return subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1 }
