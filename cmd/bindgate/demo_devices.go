package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// device is a simulated one, with a person in front of it who comes and goes.
type device struct{ user, resource, lang string }

var demoDevices = []device{
	{"alice", "android-pixel", "en"},
	{"alice", "laptop", "en"},
	{"bob", "iphone", "en"},
	{"bob", "web-firefox", "en"},
	{"hanako", "android-tablet", "ja"},
	{"hanako", "desktop", "ja"},
	{"wei", "iphone", "zh"},
	{"wei", "web-chrome", "zh"},
}

// runDevices lets devices log in and out and says what happens, until ctx ends.
func runDevices(ctx context.Context, w *world) error {
	domain := w.prosody.Domain()
	if err := w.rest(ctx, http.MethodPut, "/v1/rules/default", map[string]any{"max_sessions": 1}, nil); err != nil {
		return err
	}
	if err := w.rest(ctx, http.MethodPut, "/v1/accounts/bob@"+domain+"/rule", map[string]any{"on_excess": "deny"}, nil); err != nil {
		return err
	}
	w.greet()
	var devices sync.WaitGroup
	var console sync.Mutex
	for _, d := range demoDevices {
		devices.Go(func() {
			say := func(format string, args ...any) {
				console.Lock()
				defer console.Unlock()
				fmt.Fprintf(w.out, "%s  %-7s %-15s %s\n", time.Now().Format(time.TimeOnly), d.user, d.resource, fmt.Sprintf(format, args...))
			}
			d.live(ctx, w, say)
		})
	}
	devices.Wait()
	fmt.Fprintln(w.out, "\nEnding everything.")
	if err := context.Cause(ctx); !errors.Is(err, context.Canceled) {
		return err
	}
	return nil
}

// greet prints everything that one needs to take part.
func (w *world) greet() {
	host, port, _ := net.SplitHostPort(w.prosody.C2S) // an address that was listened on
	domain := w.prosody.Domain()
	login := people.FirstName + " with the password that you have chosen"
	if w.first != "" {
		login = people.FirstName + " with the password " + w.first + " (to be changed at the first login)"
	}
	fmt.Fprintf(w.out, `
bindgate is running at %[1]s, with a PostgreSQL and a Prosody of its own.
The rule is: one session for each account, the newest wins (for bob: the oldest wins).

The dashboard is %[1]s/dashboard. Log in as %[8]s.

A token with every right, for a day:

  TOKEN=%[2]s

Try:

  curl -H "Authorization: Bearer $TOKEN" %[1]s/v1/sessions
  curl -H "Authorization: Bearer $TOKEN" %[1]s/v1/accounts/alice@%[3]s/decisions
  curl -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"all":true}' %[1]s/v1/accounts/alice@%[3]s/kick

Log in with any XMPP client: account NAME@%[3]s (any name), any password, server %[4]s, port %[5]s, without encryption;
or over WebSocket: %[6]s. Log in a second time as the same NAME and see what happens to the first.

What bindgate logs is in %[7]s. Ctrl-C ends everything.

`, w.url, w.token, domain, host, port, w.prosody.WebSocketURL(), w.logFile, login)
}

func (d device) live(ctx context.Context, w *world, say func(string, ...any)) {
	for wait(ctx, seconds(1, 12)) {
		if again := d.visit(ctx, w, say); !wait(ctx, again) {
			return
		}
	}
}

// visit is one login, until its end; it returns how long the person stays away then.
func (d device) visit(ctx context.Context, w *world, say func(string, ...any)) time.Duration {
	c, err := w.login(ctx, d.user, d.lang, false)
	if err != nil {
		if ctx.Err() == nil {
			say("cannot connect: %v", err)
		}
		return seconds(5, 10)
	}
	defer c.Close()
	bind, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	_, err = c.Bind(bind, d.resource)
	if refused, ok := errors.AsType[*xmppclient.StanzaError](err); ok {
		say("is refused  <%s/> %s", refused.Condition, refused.Text)
		return seconds(10, 20)
	}
	if err != nil {
		if ctx.Err() == nil {
			say("cannot log in: %v", err)
		}
		return seconds(5, 10)
	}
	say("logs in")
	if err := c.SendPresence(0); err != nil {
		return seconds(5, 10)
	}
	stay := time.NewTimer(seconds(8, 25))
	defer stay.Stop()
	select {
	case <-ctx.Done():
	case <-stay.C:
		say("logs out")
	case <-c.Closed():
		if e := c.StreamError(); e != nil {
			say("is sent away <%s/> %s", e.Condition, e.Text)
		} else {
			say("has lost its connection")
		}
		return seconds(10, 20)
	}
	return 0
}

func seconds(least, most int) time.Duration {
	return time.Duration(least)*time.Second + rand.N(time.Duration(most-least)*time.Second)
}

// wait returns false if ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
