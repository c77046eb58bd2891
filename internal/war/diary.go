package war

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/bindgate/bindgate/internal/xmppclient"
)

// diary is what happened in a trial.
type diary struct {
	wanted int           // answered attempts
	had    chan struct{} // closed when there were so many

	mu       sync.Mutex
	from     time.Time
	over     bool // nothing counts any more
	notes    []string
	attempts []attempt
	bindings []event // of whoever, the persons' logins too
	endings  []event
	odd      []string // answers that should not be
}

type event struct {
	at  time.Time
	who string
}

type attempt struct {
	sent time.Time
	took time.Duration
	who  string
}

func newDiary(wanted int) *diary {
	return &diary{wanted: wanted, had: make(chan struct{}), from: time.Now()}
}

// note writes a line, and runs count if the trial is not over.
func (d *diary) note(who, text string, count func(now time.Time)) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.over {
		return
	}
	now := time.Now()
	d.notes = append(d.notes, fmt.Sprintf("%7.2f s  %s %s", now.Sub(d.from).Seconds(), who, text))
	if count != nil {
		count(now)
	}
}

func (d *diary) bound(who, resource string) {
	d.note(who, "is in as "+resource, func(now time.Time) { d.bindings = append(d.bindings, event{now, who}) })
}

func (d *diary) ended(who string, e *xmppclient.StreamError) {
	text := "lost its stream without a word"
	if e != nil {
		text = "is out: " + e.Condition
		if e.Ended != nil {
			text += ", " + e.Ended.Code
		}
	}
	d.note(who, text, func(now time.Time) { d.endings = append(d.endings, event{now, who}) })
}

// failed notes an attempt that did not come to an answer.
func (d *diary) failed(who string, err error) { d.note(who, "got no answer: "+err.Error(), nil) }

// attempted notes an answer; nil: the client is in.
func (d *diary) attempted(who string, sent time.Time, denied *xmppclient.StanzaError) {
	text, odd := "tried", ""
	if denied != nil {
		code := "nothing of bindgate's"
		if denied.Denied != nil {
			code = denied.Denied.Code
		}
		text = fmt.Sprintf("was denied after %.2f s: %s", denied.At.Sub(sent).Seconds(), code)
		switch {
		case denied.Denied == nil || denied.Denied.Code != "cooldown" && denied.Denied.Code != "frozen":
			odd = "a denial with another code: " + denied.Raw
		case denied.Denied.RetryAfter < 1 || denied.Condition != "resource-constraint" || denied.Type != "wait":
			odd = "a denial that tells it otherwise: " + denied.Raw
		}
	}
	d.note(who, text, func(now time.Time) {
		d.attempts = append(d.attempts, attempt{sent, now.Sub(sent), who})
		if odd != "" {
			d.odd = append(d.odd, who+": "+odd)
		}
		if len(d.attempts) == d.wanted {
			close(d.had)
		}
	})
}

// close ends the trial: what comes later does not count.
func (d *diary) close() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.over = true
}

func (d *diary) String() string {
	d.mu.Lock()
	defer d.mu.Unlock()
	return strings.Join(d.notes, "\n")
}
