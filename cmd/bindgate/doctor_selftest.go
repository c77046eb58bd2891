package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/selftest"
)

// selfTest tells what the last trial of a link came to; it is made each time the link is connected.
func (r *report) selfTest(what string, l runningLink) {
	t := l.SelfTest
	if t == nil {
		return
	}
	said := fmt.Sprintf("self-test with %s at %s: %s", t.Account, t.At.Format(time.RFC3339), outcomeOf(t))
	switch {
	case !t.OK && !l.expects(t):
		r.fail(what, "%s", said)
	case !t.OK, len(t.Findings) > 0:
		r.warn(what, "%s", said)
	default:
		r.ok(what, "%s", said)
	}
}

// expects reports whether a trial that is not right went as the link says that it does: its kicks end sessions, and cannot say <conflict/>.
func (l runningLink) expects(t *client.SelfTest) bool {
	cannot := false
	for _, a := range l.Abilities {
		cannot = cannot || a.Name == "conflict" && !a.Can
	}
	return cannot && t.Kick != nil && t.Kick.Outcome == client.OutcomeKicked && !slices.Contains(t.Findings, selftest.StillOpen)
}

// outcomeOf is a trial in one line.
func outcomeOf(t *client.SelfTest) string {
	var parts []string
	if t.Held != nil && *t.Held {
		parts = append(parts, "the login was held until it was decided")
	}
	if k := t.Kick; k != nil && k.Condition != "" {
		told := fmt.Sprintf("the kicked client was told <%s/>", k.Condition)
		if k.Text != "" {
			told += fmt.Sprintf(" %q (%s)", k.Text, k.Lang)
		}
		if k.EndedCode != "" {
			told += fmt.Sprintf(" and <ended code='%s'/>", k.EndedCode)
		}
		parts = append(parts, told)
	}
	return strings.Join(append(parts, t.Findings...), "; ")
}

// logIn finds out, where no bindgate runs, whether the account of the self-test can log in. The rest needs one that is asked.
func (r *report) logIn(ctx context.Context, l linkConfig) {
	if l.SelfTest == nil {
		return
	}
	what := "link " + l.Name
	if err := selftest.LogIn(ctx, *l.SelfTest); err != nil {
		r.fail(what, "self-test: %v", err)
		return
	}
	r.ok(what, "self-test: %s logs in; serve kicks it each time that it connects, and doctor says then what came of it", l.SelfTest.Account())
}
