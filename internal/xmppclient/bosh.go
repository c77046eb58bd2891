package xmppclient

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// bosh is XEP-0124 and XEP-0206: two connections, one request held by the server.
type bosh struct {
	url    string
	client *http.Client
	ctx    context.Context
	cancel context.CancelFunc

	mu       sync.Mutex
	conns    []net.Conn
	sid      string
	rid      int64
	domain   string
	inFlight int
	patient  bool      // Options.Patient
	sentAt   time.Time // when the last request leaves
	polling  bool      // an empty request leaves soon
	queue    []string
	ending   bool // we have closed the stream
	ended    bool // the server has
	frozen   bool
	err      error
	answers  map[int64]*Element // that came before those of earlier requests
	due      int64              // the request whose answer is to be read next
	incoming []*Element
	wake     chan struct{} // for read: something came
}

func dialBOSH(url string, patient bool) *bosh {
	b := &bosh{url: url, patient: patient, rid: rand.Int64N(1 << 40), answers: map[int64]*Element{}, wake: make(chan struct{}, 1)}
	b.ctx, b.cancel = context.WithCancel(context.Background())
	b.client = &http.Client{Transport: &http.Transport{
		MaxConnsPerHost: 2, MaxIdleConnsPerHost: 2,
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			var d net.Dialer
			conn, err := d.DialContext(ctx, network, addr)
			if err == nil {
				b.mu.Lock()
				b.conns = append(b.conns, conn)
				b.mu.Unlock()
			}
			return conn, err
		},
	}}
	return b
}

func (b *bosh) open(ctx context.Context, domain, lang string) error {
	b.mu.Lock()
	first := b.sid == ""
	b.domain = domain
	b.mu.Unlock()
	if !first {
		b.mu.Lock()
		defer b.mu.Unlock()
		b.send(fmt.Sprintf("xmpp:restart='true' to='%s' xml:lang='%s'", Escape(domain), Escape(lang)), "")
		return b.err
	}
	b.mu.Lock()
	b.rid++
	rid := b.rid
	b.mu.Unlock()
	body, err := b.post(ctx, fmt.Sprintf("<body xmlns='%s' xmlns:xmpp='urn:xmpp:xbosh' to='%s' xml:lang='%s' rid='%d' wait='60' hold='1' ver='1.6' xmpp:version='1.0'/>",
		nsBOSH, Escape(domain), Escape(lang), rid))
	if err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.sid = body.Attr("sid")
	if b.sid == "" {
		return fmt.Errorf("xmppclient: no BOSH session: %s", body.Raw)
	}
	b.due = rid + 1
	b.take(body)
	b.pump()
	return nil
}

func (b *bosh) post(ctx context.Context, text string) (*Element, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, b.url, strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Content-Type", "text/xml; charset=utf-8")
	resp, err := b.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("xmppclient: BOSH: %s", resp.Status)
	}
	return parse(string(answer))
}

// take sorts in what a body brought. Called with mu held.
func (b *bosh) take(body *Element) {
	for _, e := range body.Children {
		e.At = body.At
		b.incoming = append(b.incoming, e)
	}
	if body.Attr("type") == "terminate" {
		b.ended = true
	}
	// What the other request brings may have been written first.
	if b.ended && b.inFlight == 0 && b.err == nil {
		b.err = errStreamEnd
	}
	select {
	case b.wake <- struct{}{}:
	default:
	}
}

// pump sends what is queued, and keeps one request at the server. Called with mu held.
func (b *bosh) pump() {
	if b.err != nil || b.frozen || b.ending || b.ended {
		return
	}
	if len(b.queue) > 0 && b.inFlight < 2 {
		payload := strings.Join(b.queue, "")
		b.queue = nil
		b.send("", payload)
	}
	switch {
	case b.inFlight > 0 || b.polling:
	case b.patient:
		b.polling = true
		time.AfterFunc(order/4, b.poll)
	default:
		b.send("", "")
	}
}

// poll sends an empty request if no other was sent meanwhile.
func (b *bosh) poll() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.polling = false
	if b.inFlight == 0 && b.err == nil && !b.frozen && !b.ending && !b.ended {
		b.send("", "")
	}
}

// order is how long a patient client's request leaves behind another one, so that it does not overtake it on its own connection.
const order = 200 * time.Millisecond

// send posts one body. Called with mu held.
func (b *bosh) send(attrs, payload string) {
	b.rid++
	leaves := time.Now()
	if next := b.sentAt.Add(order); b.patient && b.inFlight > 0 && leaves.Before(next) {
		leaves = next
	}
	b.sentAt = leaves
	b.inFlight++
	rid := b.rid
	text := "<body xmlns='" + nsBOSH + "' xmlns:xmpp='urn:xmpp:xbosh' xmlns:stream='" + nsStreams + "' sid='" + Escape(b.sid) +
		"' rid='" + strconv.FormatInt(rid, 10) + "' " + attrs + ">" + payload + "</body>"
	go func() {
		time.Sleep(time.Until(leaves))
		body, err := b.post(b.ctx, text)
		b.mu.Lock()
		defer b.mu.Unlock()
		b.inFlight--
		if b.frozen {
			return
		}
		if err != nil {
			if b.err == nil {
				b.err = err
			}
			body = &Element{}
		}
		if body.Attr("type") == "terminate" {
			time.AfterFunc(lastWait, b.finish)
		}
		// What the server wrote first is in the answer to the earlier request (XEP-0124 §14), which may come later.
		b.answers[rid] = body
		for next := b.answers[b.due]; next != nil; next = b.answers[b.due] {
			delete(b.answers, b.due)
			b.due++
			b.take(next)
		}
		b.pump()
	}()
}

// lastWait is how long answers may still come after one that ends the stream. Prosody does not answer a request that came before an earlier one if the session
// ends between the two.
const lastWait = time.Second

// finish ends a stream that the server has ended.
func (b *bosh) finish() {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.frozen || b.err != nil {
		return
	}
	for _, rid := range slices.Sorted(maps.Keys(b.answers)) {
		b.take(b.answers[rid])
	}
	clear(b.answers)
	b.inFlight = 0
	b.take(&Element{})
}

func (b *bosh) write(s string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	s = withNamespace(s)
	b.queue = append(b.queue, s)
	b.pump()
	return nil
}

func (b *bosh) read() (*Element, error) {
	for {
		b.mu.Lock()
		if len(b.incoming) > 0 && !b.frozen {
			e := b.incoming[0]
			b.incoming = b.incoming[1:]
			b.mu.Unlock()
			return e, nil
		}
		err := b.err
		b.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-b.wake:
		case <-b.ctx.Done():
			return nil, net.ErrClosed
		}
	}
}

func (b *bosh) end() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.err != nil {
		return b.err
	}
	b.ending = true
	payload := strings.Join(b.queue, "")
	b.queue = nil
	b.send("type='terminate'", payload)
	return nil
}

func (b *bosh) abort() {
	b.mu.Lock()
	conns := b.conns
	b.ending = true
	b.mu.Unlock()
	for _, c := range conns {
		c.Close()
	}
	b.cancel()
	b.client.CloseIdleConnections()
}

func (b *bosh) freeze() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.frozen = true
}
