package client

import (
	"cmp"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"strings"
	"time"
)

// Config holds what may be changed of a client. The zero Config is a good one.
type Config struct {
	// HTTPClient carries the requests; nil: one that keeps up to 64 idle connections. Its Transport and Jar are used. Redirects are never followed, since
	// bindgate sends none, and its Timeout does not apply: see the field of that name.
	HTTPClient *http.Client
	// Timeout bounds each attempt of a call, from the connection to the end of the answer; 0: 15 s. The context bounds the call with all its attempts.
	Timeout time.Duration
	// Attempts is how often a call is tried at most; 0: 4, 1: no retries.
	Attempts int
	// MaxWait bounds the wait between two attempts; 0: 30 s. A call whose server asks for more (Retry-After) fails at once, with what the server said.
	MaxWait time.Duration
	// UserAgent names the program that uses the client, such as "shop/1.4".
	UserAgent string
}

// Client calls one bindgate. It may be used by any number of goroutines.
type Client struct {
	base     string // without a slash at its end
	token    TokenFunc
	http     *http.Client
	timeout  time.Duration
	attempts int
	maxWait  time.Duration
	agent    string
}

// New returns a client of the bindgate at baseURL, such as "https://bindgate.example.org", or with the path under which a proxy shows it. Each attempt of a
// call takes its bearer token from token.
func New(baseURL string, token TokenFunc, cfg Config) (*Client, error) {
	u, err := url.Parse(baseURL)
	switch {
	case err != nil:
		return nil, fmt.Errorf("client: base URL: %w", err)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fmt.Errorf("client: the base URL %q must begin with http:// or https:// and have a host", u.Redacted())
	case u.User != nil || u.RawQuery != "" || u.Fragment != "":
		return nil, fmt.Errorf("client: the base URL %q must have no user, query or fragment", u.Redacted())
	case token == nil:
		return nil, errors.New("client: a TokenFunc is needed")
	case cfg.Attempts < 0 || cfg.Timeout < 0 || cfg.MaxWait < 0:
		return nil, errors.New("client: Attempts, Timeout and MaxWait must not be negative")
	}
	hc := &http.Client{Transport: transport()}
	if cfg.HTTPClient != nil {
		hc = &http.Client{Transport: cfg.HTTPClient.Transport, Jar: cfg.HTTPClient.Jar}
	}
	hc.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &Client{
		base: strings.TrimRight(u.String(), "/"), token: token, http: hc, timeout: cmp.Or(cfg.Timeout, 15*time.Second), attempts: cmp.Or(cfg.Attempts, 4),
		maxWait: cmp.Or(cfg.MaxWait, 30*time.Second), agent: strings.TrimSpace(cfg.UserAgent + " bindgate-go/" + version()),
	}, nil
}

func transport() *http.Transport {
	return &http.Transport{
		Proxy:       http.ProxyFromEnvironment,
		DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, TLSHandshakeTimeout: 5 * time.Second,
		ForceAttemptHTTP2: true, MaxIdleConns: 64, MaxIdleConnsPerHost: 64, IdleConnTimeout: 60 * time.Second,
	}
}

// version is that of the module that this package was built from.
func version() string {
	const module = "github.com/bindgate/bindgate"
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, m := range append(info.Deps, &info.Main) {
			if m.Path == module && strings.HasPrefix(m.Version, "v") {
				return m.Version
			}
		}
	}
	return "devel"
}
