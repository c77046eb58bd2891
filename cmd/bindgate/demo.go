package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/internal/prosody"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

type demoCmd struct {
	Once bool `help:"Play the scenario once, tell it step by step, and exit: 0, or 1 at the first step that went otherwise."`
}

// Run starts everything on this machine, private and on loopback, and ends it again.
func (d *demoCmd) Run(ctx context.Context, e *env) error {
	cfg, err := e.config()
	if err != nil {
		return err
	}
	if cfg.DatabaseURL != "" {
		fmt.Fprintf(e.stdout, "The demo uses a database of its own; %s is left alone.\n", cfg.databaseOrigin)
	}
	if len(cfg.Links) > 0 {
		fmt.Fprintln(e.stdout, "The demo uses a Prosody of its own; the configured links are left alone.")
	}
	cfg.DatabaseURL, cfg.databaseOrigin, cfg.Embedded, cfg.Links = "", "", true, nil
	cfg.demo = true
	cfg.JWTPublicKeyFile, cfg.JWKSURL, cfg.publicKeyOrigin = "", "", "" // its tokens are its own
	if d.Once {
		done, err := onceConfig(&cfg, e)
		if err != nil {
			return err
		}
		defer done()
	}
	return inDemo(ctx, cfg, e, func(ctx context.Context, w *world) error {
		if d.Once {
			return tellScenario(ctx, w)
		}
		return runDevices(ctx, w)
	})
}

// onceConfig gives a demo that is not asked otherwise a directory and a port of its own: it can run beside anything.
func onceConfig(cfg *config, e *env) (done func(), err error) {
	done = func() {}
	if e.flags.Listen == nil && e.getenv("BINDGATE_LISTEN") == "" {
		cfg.Listen = "127.0.0.1:0"
	}
	if e.flags.DataDir != nil || e.getenv("BINDGATE_DATA_DIR") != "" {
		return done, nil
	}
	dir, err := os.MkdirTemp("/tmp", "bindgate-demo-") // short: a socket goes in
	if err != nil {
		return done, fmt.Errorf("demo: %w", err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chmod(dir, 0o711); err != nil { //nolint:gosec // PostgreSQL runs as another user and has to pass
			return done, fmt.Errorf("demo: %w", err)
		}
	}
	cfg.DataDir, cfg.ephemeral = dir, true
	return func() { _ = os.RemoveAll(dir) }, nil
}

// world is the running demo.
type world struct {
	prosody *prosody.Server
	url     string // of bindgate
	token   string // with every right
	first   string // one-time password of the dashboard's first user; "": it has chosen one
	logFile string
	out     io.Writer
}

// demoStart is how long bindgate and Prosody may take to find each other.
const demoStart = 30 * time.Second

// inDemo starts PostgreSQL, Prosody with our module and bindgate, calls run, and ends them in the opposite order.
func inDemo(ctx context.Context, cfg config, e *env, run func(context.Context, *world) error) (err error) {
	if err := cfg.openDataDir(); err != nil {
		return err
	}
	w := &world{logFile: filepath.Join(cfg.DataDir, "demo.log"), out: e.stdout}
	logFile, err := os.OpenFile(w.logFile, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return fmt.Errorf("demo: %w", err)
	}
	defer logFile.Close()

	secretWord := rand.Text()
	w.prosody, err = prosody.Start(ctx, prosody.Config{Secret: secretWord})
	if err != nil {
		if errors.Is(err, prosody.ErrMissing) {
			return fmt.Errorf("the demo needs a Prosody: %w (make demo installs it)", err)
		}
		return fmt.Errorf("demo: %w", err)
	}
	defer w.prosody.Stop()
	cfg.Links = []linkConfig{{Name: "demo", Addr: w.prosody.Component, Component: w.prosody.ComponentJID(), Secret: secret(secretWord), Driver: "gate"}}

	inner, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	up := make(chan running, 1)
	served := make(chan error, 1)
	go func() {
		err := serve(inner, cfg, slog.New(slog.NewTextHandler(logFile, nil)), func(r running) { up <- r })
		cancel(fmt.Errorf("bindgate ended: %w", cmpError(err, context.Canceled)))
		served <- err
	}()
	defer func() { // before Prosody ends: the link is closed by us
		cancel(nil)
		err = errors.Join(err, <-served)
	}()
	select {
	case r := <-up:
		w.url, w.first = "http://"+r.addr, r.first
		w.token, err = cfg.mint(r.key, api.Claims{Subject: "demo", Scopes: []string{api.ScopeAdmin}, TTL: 24 * time.Hour})
		if err != nil {
			return err
		}
	case <-inner.Done():
		return nil // serve says why, in the deferred function
	}
	if err := w.linkUp(inner); err != nil {
		return unlessEnded(ctx, err)
	}
	return unlessEnded(ctx, run(inner, w))
}

func cmpError(err, otherwise error) error {
	if err != nil {
		return err
	}
	return otherwise
}

// unlessEnded drops an error that only says that the user has ended the demo.
func unlessEnded(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil //nolint:nilerr // that is its purpose
	}
	return err
}

// linkUp waits until Prosody's module and bindgate know each other.
func (w *world) linkUp(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, demoStart)
	defer cancel()
	var links struct {
		Items []struct {
			State     string  `json:"state"`
			LastError *string `json:"last_error"`
			Domains   []struct {
				LastHelloAt *time.Time `json:"last_hello_at"`
			} `json:"domains"`
		} `json:"items"`
	}
	err := w.until(ctx, func() (bool, error) {
		if err := w.rest(ctx, http.MethodGet, "/v1/links", nil, &links); err != nil {
			return false, err
		}
		return len(links.Items) == 1 && links.Items[0].State == "up" && len(links.Items[0].Domains) > 0, nil
	})
	if err != nil {
		return fmt.Errorf("bindgate and Prosody do not find each other: %w; the logs are %s and %s", err, w.logFile, filepath.Join(w.prosody.Dir(), "prosody.log"))
	}
	return nil
}

// until asks every 50 ms until it is so, fails, or ctx ends.
func (w *world) until(ctx context.Context, so func() (bool, error)) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		if ok, err := so(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// rest calls the API. An answer that is no success is an error with the API's own words.
func (w *world) rest(ctx context.Context, method, path string, body, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	var payload io.Reader
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		payload = bytes.NewReader(b)
	}
	req, err := http.NewRequestWithContext(ctx, method, w.url+path, payload)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	req.Header.Set("Authorization", "Bearer "+w.token)
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(io.LimitReader(res.Body, 1<<20))
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, path, res.Status, strings.TrimSpace(string(text)))
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("%s %s: %w", method, path, err)
	}
	return nil
}

// login opens a stream for user, who may be anyone.
func (w *world) login(ctx context.Context, user, lang string, sm bool) (*xmppclient.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := xmppclient.Dial(ctx, xmppclient.Options{Transport: xmppclient.TCP, Addr: w.prosody.C2S, Domain: w.prosody.Domain(), User: user, Lang: lang, SM: sm})
	if err != nil {
		return nil, fmt.Errorf("%s connects: %w", user, err)
	}
	return c, nil
}
