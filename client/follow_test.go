package client_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/bindgate/bindgate/client"
)

// cutter is a network whose connections break after a while, at any byte.
type cutter struct{ most int }

func (c cutter) dial(ctx context.Context, network, address string) (net.Conn, error) {
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, left: rand.IntN(c.most)}, nil
}

type cutConn struct {
	net.Conn
	left int // bytes until it is cut
}

func (c *cutConn) Read(p []byte) (int, error) {
	if c.left <= 0 {
		c.Close()
		return 0, errors.New("cut")
	}
	n, err := c.Conn.Read(p[:min(len(p), c.left)])
	c.left -= n
	return n, err
}

// A client whose connections are cut, at any byte, has seen every event of a real bindgate once and in order, while others write.
func TestEventsOfARealBindgate(t *testing.T) {
	t.Parallel()
	needsBindgate(t)
	token, err := client.HS256(secret, client.Claims{Subject: "events", Scopes: []string{"admin"}, TTL: time.Minute})
	if err != nil {
		t.Fatal(err)
	}
	frail, err := client.New(baseURL, token, client.Config{MaxWait: 20 * time.Millisecond, HTTPClient: &http.Client{Transport: &http.Transport{DialContext: cutter{6000}.dial}}})
	if err != nil {
		t.Fatal(err)
	}
	const writers, each, domain = 8, 30, "events.example"
	c := admin()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	begun := make(chan struct{})
	var group sync.WaitGroup
	for w := range writers {
		group.Go(func() {
			<-begun
			for n := range each {
				if _, err := c.PutAccountGroup(ctx, fmt.Sprintf("w%d@%s", w, domain), fmt.Sprintf("g%d", n)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	defer group.Wait()
	lost, seen := 0, map[string]int{}
	last := uint64(0)
	close(begun)
	for e, err := range frail.Events(ctx, client.EventOptions{After: "0", Types: []client.EventType{client.EventRuleChanged}, Lost: func(error, time.Duration) { lost++ }}) {
		if err != nil {
			t.Fatalf("%v after %d events and %d lost connections", err, len(seen), lost)
		}
		id, err := strconv.ParseUint(e.ID, 10, 63)
		if err != nil || id <= last {
			t.Fatalf("event %s after %d", e.ID, last)
		}
		last = id
		data, err := e.Parse()
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := data.(*client.RuleEvent); ok && r.Level == "group" && strings.HasSuffix(e.Account, "@"+domain) {
			if want := fmt.Sprintf("g%d", seen[e.Account]); r.Group != want {
				t.Fatalf("%s: %s, want %s", e.Account, r.Group, want)
			}
			seen[e.Account]++
		}
		all := 0
		for _, n := range seen {
			all += n
		}
		if all == writers*each {
			break
		}
	}
	if lost < 5 {
		t.Errorf("only %d connections were lost", lost)
	}
}
