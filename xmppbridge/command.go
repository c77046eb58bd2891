package xmppbridge

import (
	"context"
	"errors"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
)

const nsCommands = "http://jabber.org/protocol/commands" // XEP-0050

// What is wrong with a command (XEP-0050 §4.4).
var (
	malformedAction = fault{"modify", "bad-request", "malformed-action"}
	badAction       = fault{"modify", "bad-request", "bad-action"}
	badSession      = fault{"modify", "bad-request", "bad-sessionid"}
	badPayload      = fault{"modify", "bad-request", "bad-payload"}
	sessionExpired  = fault{"cancel", "not-allowed", "session-expired"}
	tryAgain        = fault{"wait", "internal-server-error", ""}
	notKnownYet     = fault{"wait", "unexpected-request", ""}
)

// The statuses of a command, and the weights of its notes.
const (
	executing = "executing"
	completed = "completed"
	canceled  = "canceled"

	noteInfo = "info"
	noteWarn = "warn"
)

// command carries out a step of a command. All of them have at most two: one that asks and one that acts, so that there is nothing to go back to.
func (a *audience) command(ctx context.Context, e *element) {
	node, action, session := e.attr("node"), e.attr("action"), e.attr("sessionid")
	a.node, a.session = node, session
	english := rules.OwnerWordsFor(nil)
	if commandName(english, node) == "" {
		a.fail(notFound, nil, "")
		return
	}
	switch action {
	case "":
		action = "execute"
	case "execute", "next", "complete", "cancel", "prev":
	default:
		a.fail(malformedAction, nil, "")
		return
	}
	if session == "" {
		if action != "execute" {
			a.fail(badSession, nil, "")
			return
		}
		a.begin(ctx, node)
		return
	}
	switch ours, expired := a.b.tickets.check(session, node, a.from, a.at); {
	case !ours:
		a.fail(badSession, nil, "")
		return
	case expired:
		a.fail(sessionExpired, nil, "")
		return
	}
	sent, err := parseSubmission(e)
	switch {
	case action == "cancel":
		a.step(english, step{node: node, session: session, status: canceled})
	case action == "next" || action == "prev": // there is no step behind or before
		a.fail(badAction, nil, "")
	case err != nil:
		a.fail(badPayload, english, err.Error())
	case sent.kind == "cancel":
		a.step(english, step{node: node, session: session, status: canceled})
	default:
		a.act(ctx, node, session, sent)
	}
}

// begin takes the first step.
func (a *audience) begin(ctx context.Context, node string) {
	own, err := a.own(ctx)
	w := a.words(own)
	if err != nil {
		a.trouble(err, w)
		return
	}
	s := step{node: node, status: completed, session: a.b.tickets.issue("", a.from, a.at)} // no further step takes it
	live, here := signedIn(own)
	switch {
	case node == nodeDevices:
		s.form = deviceTable(own, w)
	case node == nodeSignOut && len(live) == 0:
		s.note, s.noteKind = w.NoDevice, noteInfo
	case node == nodeSignOutOthers && here == nil:
		a.fail(notKnownYet, w, w.Strange)
		return
	case node == nodeSignOutOthers && len(live) == 1:
		s.note, s.noteKind = w.NoOthers, noteInfo
	default:
		s.status, s.session = executing, a.b.tickets.issue(node, a.from, a.at)
		if s.form = choiceForm(live, w); node == nodeSignOutOthers {
			s.form = confirmForm(live, w)
		}
	}
	a.step(w, s)
}

// act takes the last step.
func (a *audience) act(ctx context.Context, node, session string, sent submission) {
	own, err := a.own(ctx)
	w := a.words(own)
	if err != nil {
		a.trouble(err, w)
		return
	}
	s := step{node: node, session: session, status: completed}
	live, here := signedIn(own)
	if node == nodeSignOutOthers {
		switch {
		case here == nil:
			a.fail(notKnownYet, w, w.Strange)
		case len(live) == 1:
			s.note, s.noteKind = w.NoOthers, noteInfo
			a.step(w, s)
		default:
			a.signOut(ctx, s, gate.KickSelect{Except: here.Generation}, live, w)
		}
		return
	}
	chosen, ok := sent.one(fieldDevice)
	if !ok {
		a.fail(badPayload, w, w.NoChoice)
		return
	}
	for _, d := range live {
		switch {
		case d.ID != chosen:
		case d.Here: // who asked is answered while it can be
			s.note, s.noteKind = w.Goes, noteInfo
			a.step(w, s)
			if _, err := a.b.cfg.Owner.Kick(ctx, a.kick(gate.KickSelect{Sessions: []int64{d.Generation}}), 0); err != nil {
				a.log.Warn("an owner's own session is not signed out", "error", err)
			}
			return
		default:
			a.signOut(ctx, s, gate.KickSelect{Sessions: []int64{d.Generation}}, live, w)
			return
		}
	}
	a.fail(badPayload, w, w.Unknown)
}

// proofWait is how long an answer waits for the server to report the sessions' ends.
const proofWait = 2 * time.Second

func (a *audience) kick(them gate.KickSelect) gate.KickRequest {
	return gate.KickRequest{Account: a.account, By: gate.ByOwner(a.account), Select: them, Reason: "signed out by the account's owner"}
}

// signOut ends sessions and answers what came of it.
func (a *audience) signOut(ctx context.Context, s step, them gate.KickSelect, live []gate.OwnDevice, w *rules.OwnerWords) {
	report, err := a.b.cfg.Owner.Kick(ctx, a.kick(them), proofWait)
	if err != nil {
		a.trouble(err, w)
		return
	}
	s.note, s.noteKind = w.Done, noteInfo
	for _, o := range report.Results {
		if o.Outcome != gate.OutcomeKicked && o.Outcome != gate.OutcomeGone {
			s.note, s.noteKind = w.Partly, noteWarn
		}
	}
	s.form = outcomeTable(report, live, w)
	a.step(w, s)
}

// trouble answers that the record cannot be had.
func (a *audience) trouble(err error, w *rules.OwnerWords) {
	if !errors.Is(err, context.Canceled) { // the connection ends
		a.complain("a request of an account's owner failed", "error", err)
	}
	a.fail(tryAgain, w, w.Trouble)
}

// step is an answer to a command.
type step struct {
	node, session, status string
	form                  *form
	note, noteKind        string
}

func (a *audience) step(w *rules.OwnerWords, s step) {
	a.say(w.Lang, func(b []byte) []byte {
		b = append(b, "<command xmlns='"+nsCommands+"'"...)
		b = appendAttr(b, "node", s.node)
		b = appendAttr(b, "sessionid", s.session)
		b = append(appendAttr(b, "status", s.status), '>')
		if s.status == executing {
			b = append(b, "<actions execute='complete'><complete/></actions>"...)
		}
		if s.form != nil {
			b = s.form.append(b)
		}
		if s.note != "" {
			b = append(appendEscaped(append(b, "<note type='"+s.noteKind+"'>"...), s.note), "</note>"...)
		}
		return append(b, "</command>"...)
	})
}
