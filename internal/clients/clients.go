// Package clients runs XMPP clients that others wrote on real servers: each library in a program of its own, in a directory named for it. The programs are also
// the examples of docs/clients.md.
//
// A program is called with
//
//	host port websocket-url bosh-url domain login…
//
// and logs in with all logins at once, at the port or the URL that its library is for. A login is
//
//	user/resource/language/mode/token
//
// Mode "plain" is the library as it is, with whatever makes it reconnect by itself turned on. "polite" is what docs/clients.md advises: it stops on <conflict/> and
// on a denial, tells the user why, reconnects after anything else, and takes over the first session that it is offered. With a token the bind request carries it.
//
// It writes one JSON object for each thing it sees, on a line of its own. "what" says which, "user" who of the logins:
//
//	online   the resource is bound: jid
//	ended    plain: a stream error, as far as the library shows it to the application: condition, text, lang, and the attributes of <ended/>
//	denied   plain: the error of a bind, likewise: condition, type, text, and the attributes of <denied/>
//	closed   plain: the library says that the connection is over
//	told     polite: what it tells its user: text, and the attributes of <ended/> or <denied/>
//	later    polite: the bind was denied because nobody could decide, which is tried again
//	asked    polite: it asks its user which session to end: resources, separated by spaces
package clients

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"sync"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. It is no measure of speed.
const patience = 30 * time.Second

// Report is what a program says. It is written to by lines, from one goroutine at a time.
type Report struct {
	t    testing.TB
	over chan struct{} // is closed when the program has ended
	mu   sync.Mutex
	rest []byte // of a line that has not ended
	by   map[string]*Login
}

// NewReport returns an empty one. What is no JSON goes to the test's output.
func NewReport(t testing.TB) *Report {
	return &Report{t: t, over: make(chan struct{}), by: map[string]*Login{}}
}

// Run starts a program, whose standard output is the report. It is killed when the test ends.
func Run(t testing.TB, cmd *exec.Cmd) *Report {
	t.Helper()
	r := NewReport(t)
	cmd.Stdout, cmd.Stderr = r, t.Output()
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		_ = cmd.Wait()
		close(r.over)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-r.over
	})
	return r
}

// Write implements io.Writer.
func (r *Report) Write(b []byte) (int, error) {
	r.mu.Lock()
	r.rest = append(r.rest, b...)
	var lines []string
	for {
		line, rest, ok := bytes.Cut(r.rest, []byte("\n"))
		if !ok {
			break
		}
		lines, r.rest = append(lines, string(line)), rest
	}
	r.mu.Unlock()
	for _, line := range lines {
		e := Event{Line: line}
		if err := json.Unmarshal([]byte(line), &e.Fields); err != nil {
			fmt.Fprintln(r.t.Output(), line)
			continue
		}
		select {
		case r.Of(e.Text("user")).events <- e:
		default:
			fmt.Fprintln(r.t.Output(), "nobody reads:", line)
		}
	}
	return len(b), nil
}

// Of returns what is said of one login; the program of a single one need not name it.
func (r *Report) Of(user string) *Login {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.by[user]
	if l == nil {
		l = &Login{t: r.t, over: r.over, user: user, events: make(chan Event, 200)}
		r.by[user] = l
	}
	return l
}

// Event is one thing that a program says.
type Event struct {
	Line   string
	Fields map[string]any
}

// Text returns a field that is a text; empty if there is none.
func (e Event) Text(field string) string {
	s, _ := e.Fields[field].(string)
	return s
}

// Login is what a program says of one of its logins, in order.
type Login struct {
	t      testing.TB
	over   <-chan struct{}
	user   string
	events chan Event
}

// Wants waits for what is said next, which has to be what; pairs are fields and their texts.
func (l *Login) Wants(what string, pairs ...string) Event {
	l.t.Helper()
	e := l.Next()
	ok := e.Text("what") == what
	for i := 0; i < len(pairs); i += 2 {
		ok = ok && e.Text(pairs[i]) == pairs[i+1]
	}
	if !ok {
		l.t.Fatalf("%s said %s, want %s %q", l.user, e.Line, what, pairs)
	}
	return e
}

// Next waits for what is said next.
func (l *Login) Next() Event {
	l.t.Helper()
	return l.within(patience)
}

func (l *Login) within(limit time.Duration) Event {
	l.t.Helper()
	select {
	case e := <-l.events:
		return e
	case <-l.over:
	case <-time.After(limit):
		l.t.Fatalf("%s said nothing within %s", l.user, limit)
	}
	select { // the last words
	case e := <-l.events:
		return e
	default:
		l.t.Fatalf("%s: the program has ended", l.user)
		return Event{}
	}
}

// Silent fails if something was said that nobody has asked for.
func (l *Login) Silent() {
	l.t.Helper()
	select {
	case e := <-l.events:
		l.t.Errorf("%s was to be silent, and said %s", l.user, e.Line)
	default:
	}
}
