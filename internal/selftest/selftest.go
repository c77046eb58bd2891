// Package selftest tries a link with a throw-away account: it logs in as any client does, is kicked as any session is, and tells what became of both. It knows
// the gate, the record and the client's side of the server, and nothing of what is between them, so it says of every driver what it does, not what it ought to.
package selftest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/xmppclient"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// Config says who logs in, and where.
type Config struct {
	User, Domain string
	Password     string
	Addr         string // of the port for clients, host:port
	Encryption   Encryption
}

// Account is the bare JID.
func (c Config) Account() string { return c.User + "@" + c.Domain }

// Encryption is how a client gets its TLS.
type Encryption string

// The ways.
const (
	StartTLS Encryption = "starttls"
	Direct   Encryption = "direct"
	None     Encryption = "none"
)

// resource is the same each time, so that the account has one device.
const resource = "bindgate-self-test"

const (
	loginWait = 10 * time.Second // for the login, which the server may hold
	seenWait  = 10 * time.Second // until the record has it; without a module it is found by polling
	kickWait  = 5 * time.Second  // for the proof of the kick, and for its stream error
	seenPoll  = 50 * time.Millisecond
)

// StillOpen is the finding that a kick has not ended the client's stream.
const StillOpen = "the kicked client's stream is still open"

// Kicker is the gate.
type Kicker interface {
	Kick(ctx context.Context, req gate.KickRequest, wait time.Duration) (gate.KickReport, error)
}

// Record has the live sessions of accounts by their keys.
type Record interface {
	LiveSessions(ctx context.Context, jids []string) (map[store.Key][]store.ListedSession, error)
}

// Run tries a link once. It takes half a minute at most, and less than a second where all is well.
func Run(ctx context.Context, cfg Config, g Kicker, record Record) gate.SelfTest {
	t := &trial{cfg: cfg, gate: g, record: record, SelfTest: gate.SelfTest{At: time.Now().UTC(), Account: cfg.Account()}}
	if err := t.run(ctx); err != nil {
		t.find("%v", err)
	}
	return t.SelfTest
}

// LogIn only finds out whether the account can log in.
func LogIn(ctx context.Context, cfg Config) error {
	client, err := logIn(ctx, cfg)
	if err == nil {
		client.Close()
	}
	return err
}

type trial struct {
	cfg    Config
	gate   Kicker
	record Record
	gate.SelfTest
}

func (t *trial) find(format string, args ...any) {
	t.Findings = append(t.Findings, fmt.Sprintf(format, args...))
}

// run ends with what keeps the trial from going on.
func (t *trial) run(ctx context.Context) error {
	client, err := logIn(ctx, t.cfg)
	if err != nil {
		return err
	}
	defer client.Cut()
	session, err := t.seen(ctx)
	if err != nil {
		return err
	}
	held := !session.DecidedAt.After(session.StartedAt)
	t.Held = &held
	if !held {
		t.find("the login was decided after it was in: who is to be denied is let in first, and kicked")
	}
	report, err := t.gate.Kick(ctx, gate.KickRequest{
		Account: t.Account, By: store.Actor{Via: store.ViaSelf, Subject: "self-test"}, Select: gate.KickSelect{Sessions: []int64{session.Generation}}, Reason: "self-test",
	}, kickWait)
	if err != nil {
		return fmt.Errorf("the kick was not accepted: %w", err)
	}
	t.Kick = &gate.TrialKick{Outcome: gate.OutcomeGone}
	if len(report.Results) > 0 {
		t.Kick.Outcome = report.Results[0].Outcome
	}
	if t.Kick.Outcome != gate.OutcomeKicked {
		t.find("the kick has no proof after %v: it is %s", kickWait, t.Kick.Outcome)
	}
	return t.told(ctx, client)
}

// seen waits until the login is on record and decided.
func (t *trial) seen(ctx context.Context) (store.ListedSession, error) {
	ctx, cancel := context.WithTimeout(ctx, seenWait)
	defer cancel()
	tick := time.NewTicker(seenPoll)
	defer tick.Stop()
	for {
		live, err := t.record.LiveSessions(ctx, []string{t.Account})
		if err != nil && ctx.Err() == nil {
			return store.ListedSession{}, err
		}
		for _, s := range live[store.KeyOf(t.Account)] {
			if s.Resource == resource && s.State == string(rules.Active) && !s.DecidedAt.IsZero() {
				return s, nil
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return store.ListedSession{}, fmt.Errorf("%s logged in, and within %v bindgate has not heard of it: logins of %s are not governed; is that host on this link, and does its module run?", t.Account, seenWait, t.cfg.Domain)
		}
	}
}

// told reads what the client hears of its end.
func (t *trial) told(ctx context.Context, client *xmppclient.Client) error {
	ctx, cancel := context.WithTimeout(ctx, kickWait)
	defer cancel()
	end, err := client.WaitClosed(ctx)
	switch {
	case err != nil:
		return errors.New(StillOpen)
	case end == nil:
		return errors.New("the kicked client's stream ended without a stream error: clients take that for a lost network, and come back at once")
	}
	t.Kick.Condition, t.Kick.Text, t.Kick.Lang = end.Condition, end.Text, end.Lang
	if end.Ended != nil {
		t.Kick.Ended = end.Ended.Code
	}
	if end.Condition != "conflict" {
		t.find("the kicked client is told <%s/>: clients that stop at <conflict/> come back at once", end.Condition)
	}
	if end.Text == "" {
		t.find("the kicked client is not told why, in words")
	}
	if end.Ended == nil {
		t.find("the kicked client gets no <ended/>, by which programs would know why")
	}
	t.OK = end.Condition == "conflict" && t.Kick.Outcome == gate.OutcomeKicked
	return nil
}

// logIn is one login. Its error says what to do.
func logIn(ctx context.Context, cfg Config) (*xmppclient.Client, error) {
	ctx, cancel := context.WithTimeout(ctx, loginWait)
	defer cancel()
	o := xmppclient.Options{Addr: cfg.Addr, Domain: cfg.Domain, User: cfg.User, Password: cfg.Password, Strong: true, Software: "bindgate self-test", DirectTLS: cfg.Encryption == Direct}
	if cfg.Encryption != None {
		o.TLS = &tls.Config{ServerName: cfg.Domain, MinVersion: tls.VersionTLS12, InsecureSkipVerify: Local(cfg.Addr)} //nolint:gosec // nobody is between a program and its own machine
	}
	client, err := xmppclient.Dial(ctx, o)
	if err != nil {
		return nil, fmt.Errorf("%s cannot log in at %s: %w", cfg.Account(), cfg.Addr, err)
	}
	if _, err := client.Bind(ctx, resource); err != nil {
		client.Cut()
		return nil, fmt.Errorf("%s is not let in: %w", cfg.Account(), err)
	}
	return client, nil
}

// Local reports whether an address is this machine's own.
func Local(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	ip := net.ParseIP(host)
	return err == nil && (host == "localhost" || ip != nil && ip.IsLoopback())
}
