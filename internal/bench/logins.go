package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/internal/rig"
)

const (
	comers = 50 // clients that log in at once
	// Logins of each kind in a round, each of another account: those that wait for a password's hash take ten times as long.
	registeredSpell, openSpell = 600, 600
)

// logins compares whole logins to a server with the gate with the same without the module: to registered accounts, as the distribution's package keeps them,
// and to a server that looks at no password, where a login costs nearly nothing but the gate. All parts, the clients too, share the machine, and the clients do
// as little as a client can.
func logins(on serverKind) measure {
	return func(ctx context.Context, log *slog.Logger) (row, error) {
		r := row{
			Name: "logins" + on.suffix, Bound: fmt.Sprint("≥ ", on.loginsLeast), Unit: "× without the module",
			How: fmt.Sprintf("logins a second (connect, PLAIN, bind; no TLS), %d at once, %s, accounts %s, %d of each kind, with the gate ÷ without the module",
				comers, on.name, on.accounts, registeredSpell*rounds),
		}
		var err error
		var with, without float64
		if r.Ratio, with, without, err = loginRates(ctx, log, on, true); err != nil {
			return r, err
		}
		r.Holds = r.Ratio >= on.loginsLeast
		r.Detail = map[string]float64{"with the gate /s": with, "without /s": without}
		if r.Detail["no passwords: ratio"], with, without, err = loginRates(ctx, log, on, false); err != nil {
			return r, err
		}
		r.Detail["no passwords: with the gate /s"], r.Detail["no passwords: without /s"] = with, without
		return r, nil
	}
}

// loginRates are medians: the ratio, and logins a second with the gate and without.
func loginRates(ctx context.Context, log *slog.Logger, on serverKind, registered bool) (ratio, with, without float64, err error) {
	spell, accounts := openSpell, 0
	if registered {
		spell, accounts = registeredSpell, registeredSpell
	}
	pair, stop, err := gatedAndPlain(ctx, log, on, accounts)
	if err != nil {
		return 0, 0, 0, err
	}
	defer stop()
	var ratios, ours, theirs []float64
	for round := range rounds + 1 { // the first warms up
		gated, err := crowdIn(ctx, pair.gated, spell)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("with the gate: %w", err)
		}
		if err := atRest(ctx, pair.gate); err != nil {
			return 0, 0, 0, err
		}
		plain, err := crowdIn(ctx, pair.plain, spell)
		if err != nil {
			return 0, 0, 0, fmt.Errorf("without: %w", err)
		}
		if round > 0 {
			ratios, ours, theirs = append(ratios, gated/plain), append(ours, gated), append(theirs, plain)
		}
	}
	return median(ratios), median(ours), median(theirs), nil
}

// atRest waits until nothing is on its way into the record.
func atRest(ctx context.Context, g *gate.Gate) error {
	deadline := time.Now().Add(time.Minute)
	for time.Now().Before(deadline) && ctx.Err() == nil {
		if g.Waiting() == 0 {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return fmt.Errorf("the gate does not come to rest: %d operations wait", g.Waiting())
}

// crowdIn logs many accounts in and returns how many were in a second. They log out when the last one is in, outside of the measured time.
func crowdIn(ctx context.Context, server rig.Server, many int) (float64, error) {
	addr, _ := server.Addresses()
	var next atomic.Int64
	var wg sync.WaitGroup
	conns := make([]net.Conn, many)
	failed := make(chan error, comers)
	begin := time.Now()
	for range comers {
		wg.Go(func() {
			buf := make([]byte, 0, 4096)
			for {
				i := int(next.Add(1)) - 1
				if i >= many || ctx.Err() != nil {
					return
				}
				conn, err := comeIn(ctx, addr, server.Domain(), i, buf)
				if err != nil {
					failed <- fmt.Errorf("login %d: %w", i, err)
					return
				}
				conns[i] = conn
			}
		})
	}
	wg.Wait()
	took := time.Since(begin)
	for i := range comers {
		wg.Go(func() {
			for n := i; n < many; n += comers {
				if conns[n] != nil {
					leave(conns[n])
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-failed:
		return 0, err
	default:
		return float64(many) / took.Seconds(), ctx.Err()
	}
}

// leave logs out and returns when the server has ended the session.
func leave(conn net.Conn) {
	defer conn.Close()
	if _, err := conn.Write([]byte("</stream:stream>")); err == nil {
		_, _ = io.Copy(io.Discard, conn) // until its end, or the deadline
	}
}

// comeIn is one login of the cheapest client there is: it looks for the words it waits for and parses nothing.
func comeIn(ctx context.Context, addr, domain string, account int, buf []byte) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	header := "<stream:stream to='" + domain + "' version='1.0' xmlns='jabber:client' xmlns:stream='http://etherx.jabber.org/streams'>"
	plain := base64.StdEncoding.EncodeToString([]byte("\x00user" + strconv.Itoa(account) + "\x00pw"))
	for _, step := range []struct{ say, await string }{
		{header, "</stream:features>"},
		{"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>" + plain + "</auth>", "<success"},
		{header, "</stream:features>"},
		{"<iq type='set' id='b'><bind xmlns='urn:ietf:params:xml:ns:xmpp-bind'><resource>phone</resource></bind></iq>", "</jid></bind></iq>"},
	} {
		if err := say(conn, step.say, step.await, buf); err != nil {
			conn.Close()
			return nil, err
		}
	}
	return conn, nil
}

// say writes and reads until the answer has come.
func say(conn net.Conn, text, await string, buf []byte) error {
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return err
	}
	if _, err := conn.Write([]byte(text)); err != nil {
		return err
	}
	for buf = buf[:0]; !bytes.Contains(buf, []byte(await)); {
		if len(buf) == cap(buf) {
			return fmt.Errorf("no %s in %.300q", await, buf)
		}
		n, err := conn.Read(buf[len(buf):cap(buf)])
		if err != nil {
			return fmt.Errorf("%w, after %q", err, buf)
		}
		buf = buf[:len(buf)+n]
	}
	return nil
}
