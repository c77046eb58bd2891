package xmppbridge

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// fakeListener writes down what it hears.
type fakeListener struct {
	heard  chan string
	stream chan Stream
}

func (l fakeListener) Opened(s Stream)     { l.stream <- s }
func (l fakeListener) Closed(reason error) {}
func (l fakeListener) Presence(domain, user, resource, kind string) {
	l.heard <- fmt.Sprintf("presence %s %s %s %q", domain, user, resource, kind)
}

func (l fakeListener) Granted(domain string, perms map[string]string) {
	l.heard <- fmt.Sprintf("granted %s %v", domain, perms)
}

// A server without a module is heard, whoever else sends; a module there is told that the link is for another driver.
func TestStream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		l, addr := fakeListener{make(chan string, 100), make(chan Stream, 1)}, newPipes()
		b := NewStock(Config{
			Name: "main", Addr: "127.0.0.1:5347", Component: testComponent, Secret: testSecret, Driver: DriverEjabberd, Domains: []string{"example.org"}, dial: addr.dial,
		}, l)
		done := make(chan error)
		go func() { done <- b.Run(ctx) }()
		p := addr.accept(t).greet("")
		stream := <-l.stream
		hears := func(sent, want string) {
			t.Helper()
			p.send(sent)
			synctest.Wait()
			select {
			case got := <-l.heard:
				if got != want {
					t.Errorf("heard %s, want %s", got, want)
				}
			default:
				if want != "" {
					t.Errorf("heard nothing of %s", sent)
				}
			}
		}
		to := " to='" + testComponent + "'"
		hears("<presence from='a♥b@example.org/r 1'"+to+"><show>away</show></presence>", `presence example.org a♥b r 1 ""`)
		hears("<presence from='ann@example.org/x' type='unavailable'"+to+"/>", `presence example.org ann x "unavailable"`)
		hears("<presence from='ann@example.org'"+to+"/>", "")
		hears("<presence from='ann@elsewhere.org/x'"+to+"/>", "")
		for _, space := range []string{privilege1, privilege2} {
			grant := "<privilege xmlns='" + space + "'><perm access='presence' type='managed_entity'/><other/></privilege>"
			hears("<message from='example.org'"+to+">"+grant+"</message>", "granted example.org map[presence:managed_entity]")
			hears("<message from='ann@example.org/x'"+to+">"+grant+"</message>", "")
			hears("<message from='elsewhere.org'"+to+">"+grant+"</message>", "")
		}

		p.send("<iq type='set' id='h' from='example.org'" + to + "><hello xmlns='urn:bindgate:1' version='1' epoch='e' seq='0'/></iq>")
		if got := p.recv(); !strings.Contains(got, "feature-not-implemented") || !strings.Contains(got, "has a gate module, but this link&apos;s driver is ejabberd") {
			t.Errorf("a module was told %s", got)
		}

		query := func() (string, error) {
			answer, err := stream.Query(ctx, "example.org", "get", "<q xmlns='x'/>")
			return string(answer), err
		}
		go func() {
			p.answer("result", "<q xmlns='x'>é</q>")
			p.answer("error", "<error type='auth'><forbidden xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
			p.answer("error", "<error type='cancel'><service-unavailable xmlns='urn:ietf:params:xml:ns:xmpp-stanzas'/></error>")
		}()
		if got, err := query(); err != nil || !strings.Contains(got, "<q xmlns='x'>é</q>") {
			t.Errorf("Query = %s, %v", got, err)
		}
		var refused *StanzaError
		if _, err := query(); !errors.As(err, &refused) || refused.Condition != "forbidden" {
			t.Errorf("Query = %v, want forbidden", err)
		}
		if alive, err := stream.Alive(ctx, "example.org", "ann", "x"); !alive || err != nil {
			t.Errorf("a client that refuses a ping: alive %v, %v", alive, err)
		}
		short, stop := context.WithTimeout(ctx, time.Second)
		defer stop()
		if alive, err := stream.Alive(short, "example.org", "ann", "x"); alive || err != nil {
			t.Errorf("a client that does not answer a ping: alive %v, %v", alive, err)
		}
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if _, err := stream.Query(t.Context(), "example.org", "get", "<q xmlns='x'/>"); !errors.Is(err, ErrDown) {
			t.Errorf("Query behind the end: %v", err)
		}
	})
}
