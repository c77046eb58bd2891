package adhoc_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/rogpeppe/go-internal/txtar"

	"github.com/bindgate/bindgate/xmppbridge"
	"github.com/bindgate/bindgate/xmppbridge/stock"
	"github.com/bindgate/bindgate/xmppbridge/stock/adhoc"
)

// dialogue plays a server from a file of testdata: each request of the client is compared with the next there, "get|set address", and answered by what
// follows it, "result" or "error condition". White space between tags does not count.
type dialogue struct {
	t     *testing.T
	mu    sync.Mutex
	files []txtar.File
}

func play(t *testing.T, name string) *dialogue {
	t.Helper()
	a, err := txtar.ParseFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	d := &dialogue{t: t, files: a.Files}
	t.Cleanup(func() {
		if len(d.files) > 0 && !t.Failed() {
			t.Errorf("%s was not asked for: %s", d.files[0].Name, d.files[0].Data)
		}
	})
	return d
}

var between = regexp.MustCompile(`\s*\n\s*`)

func oneLine(b []byte) string { return between.ReplaceAllString(strings.TrimSpace(string(b)), "") }

func (d *dialogue) Query(_ context.Context, to, kind, payload string) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.files) < 2 {
		d.t.Errorf("an unexpected request, %s to %s: %s", kind, to, payload)
		return nil, errors.New("the dialogue is over")
	}
	want, answer := d.files[0], d.files[1]
	d.files = d.files[2:]
	if diff := cmp.Diff(want.Name+"\n"+oneLine(want.Data), kind+" "+to+"\n"+strings.ReplaceAll(payload, `"`, "'")); diff != "" {
		d.t.Errorf("request (-want +got):\n%s", diff)
	}
	if condition, ok := strings.CutPrefix(answer.Name, "error "); ok {
		return nil, &xmppbridge.StanzaError{Condition: condition, Text: oneLine(answer.Data)}
	}
	return fmt.Appendf(nil, "<iq type='result' from='%s' to='bindgate.example.org' id='1'>%s</iq>", to, oneLine(answer.Data)), nil
}

func discover(t *testing.T, d *dialogue) *adhoc.Server {
	t.Helper()
	s, err := adhoc.Discover(t.Context(), d, "example.org")
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func sessions(t *testing.T, s *adhoc.Server) []adhoc.Session {
	t.Helper()
	found, err := s.Sessions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(found, func(a, b adhoc.Session) int {
		return strings.Compare(a.User+"/"+a.Resource, b.User+"/"+b.Resource)
	})
	return found
}

func wantSessions(t *testing.T, got []adhoc.Session, want ...adhoc.Session) {
	t.Helper()
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("sessions (-want +got):\n%s", diff)
	}
}

func TestOpenfire(t *testing.T) {
	t.Parallel()
	s := discover(t, play(t, "openfire.txtar"))
	if s.Software() != "Openfire Server" || s.List() != adhoc.ByPresences || s.Explains() {
		t.Errorf("%s, %s, %t", s.Software(), s.List(), s.Explains())
	}
	wantSessions(t, sessions(t, s), adhoc.Session{User: "ada", Resource: "phone"}, adhoc.Session{User: "bob", Resource: "a/b"})
	if err := s.End(t.Context(), "ada", "phone", "signed in elsewhere"); err != nil {
		t.Error(err)
	}
}

func TestTigase(t *testing.T) {
	t.Parallel()
	s := discover(t, play(t, "tigase.txtar"))
	if s.Software() != "Tigase ver. 8.4.0" || s.List() != adhoc.ByOnlineUsers || !s.Explains() {
		t.Errorf("%s, %s, %t", s.Software(), s.List(), s.Explains())
	}
	both := []adhoc.Session{{User: "ada", Resource: "phone"}, {User: "ada", Resource: "tablet"}, {User: "bob", Resource: "web"}}
	wantSessions(t, sessions(t, s), both...)
	if found, err := s.SessionsOf(t.Context(), "bob"); !errors.Is(err, stock.ErrWholeList) {
		t.Errorf("sessions of an account: %v, %v", found, err)
	}
	wantSessions(t, sessions(t, s), both...) // by the form that is known now
	if err := s.End(t.Context(), "ada", "phone", "signed in elsewhere"); err != nil {
		t.Error(err)
	}
	if err := s.End(t.Context(), "ada", "tablet", ""); err == nil || !strings.Contains(err.Error(), "enough permissions") {
		t.Errorf("a refusal among the fields: %v", err)
	}
}

// TestSteps has commands of two steps, of one and of none, forms in another order and with more fields than are known, and what a server may say instead.
func TestSteps(t *testing.T) {
	t.Parallel()
	d := play(t, "steps.txtar")
	c := adhoc.NewClient(d, "example.org")
	answer := func(q adhoc.Question) ([]string, bool) {
		return map[string][]string{"accountjid": {"ada@example.org"}}[q.Name], q.Name == "accountjid"
	}
	run := func(node string) (adhoc.Result, error) {
		return c.Run(t.Context(), "http://jabber.org/protocol/admin#"+node, answer)
	}

	r, err := run("two-steps")
	if err != nil || !slices.Equal(r.Fields["result"], []string{"one", "two"}) || !slices.Equal(r.Notes, []string{"done"}) {
		t.Errorf("two steps: %v, %v", r, err)
	}
	if r, err = run("at-once"); err != nil || !slices.Equal(r.Fields["n"], []string{"7"}) {
		t.Errorf("at once: %v, %v", r, err)
	}
	for _, tt := range []struct{ node, want string }{
		{"requires-more", `requires "password"`},
		{"another-form", "urn:example:other"},
		{"canceled", "cancelled the command"},
		{"noted", "User does not exist"},
		{"asks-for-nothing", "asks for nothing"},
	} {
		if _, err := run(tt.node); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v, want %q in it", tt.node, err, tt.want)
		}
	}
	if _, err := run("two-steps"); err != nil { // its form has changed: the one that was known is refused
		t.Errorf("a form that has changed: %v", err)
	}
}

// TestNoAdministration has what is said of servers that bindgate cannot administer.
func TestNoAdministration(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		dialogue string
		is       error
		advice   string
	}{
		{"no-commands.txtar", adhoc.ErrNoCommands, "mod_adhoc and mod_configure"},
		{"no-right.txtar", adhoc.ErrNoRight, `acl: {bindgate: {server: "bindgate.example.org"}}`},
		{"no-list.txtar", adhoc.ErrNoList, "cannot be used"},
	} {
		t.Run(tt.dialogue, func(t *testing.T) {
			t.Parallel()
			_, err := adhoc.New("bindgate.example.org").Open(t.Context(), played{dialogue: play(t, tt.dialogue)}, []string{"example.org"})
			if !errors.Is(err, tt.is) || !strings.Contains(err.Error(), tt.advice) || !strings.Contains(err.Error(), "example.org: ") {
				t.Errorf("%v", err)
			}
		})
	}
}

// silent is a stream whose requests nobody answers.
type silent struct{ xmppbridge.Stream }

func (silent) Query(ctx context.Context, _, _, _ string) ([]byte, error) {
	<-ctx.Done()
	return nil, ctx.Err()
}

// TestNoAnswer has what an ejabberd with mod_privilege does.
func TestNoAnswer(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	_, err := adhoc.New("bindgate.example.org").Open(ctx, silent{}, []string{"example.org"})
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "take mod_privilege out, or use driver ejabberd") || strings.Contains(err.Error(), "context") {
		t.Errorf("%v", err)
	}
}

// played is a stream that is asked nothing but Query.
type played struct {
	*dialogue
	xmppbridge.Stream
}

func (p played) Query(ctx context.Context, to, kind, payload string) ([]byte, error) {
	return p.dialogue.Query(ctx, to, kind, payload)
}
