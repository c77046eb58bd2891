package gate_test

import (
	"testing"

	"github.com/bindgate/bindgate/gate"
)

// unasked reports a bind that the server let in by its failure policy, with a token.
func (b *bench) unasked(user, sid, resource, token string) {
	e := b.made(gate.EventBind, user, sid, resource)
	e.AskID, e.Takeover = "", token
	b.gate.Event(e)
	b.gate.Event(e) // an event may come twice
}

// A login that was not decided in time is judged with the token that it brought; the token is good for one.
func TestGrantOfALoginThatWasLetInUndecided(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"require_grant": true}`)
	token := b.grant(gate.GrantRequest{})
	b.unasked("ann", "s1", "phone", token)
	b.unasked("ann", "s2", "tablet", token)
	b.unasked("ann", "s3", "web", "")
	b.eventually("ann", "s1=active s2=evicting:rule s3=evicting:rule")
	if n := b.count(`select count(*) from decisions where resource = 'tablet' and code = 'grant_required' and array_to_string(explanation, ' ') like '%does not count: "used"%'`); n != 1 {
		t.Errorf("%d denials of the second say what is wrong with its token", n)
	}
	if n := b.count(`select count(*) from sessions s where s::text like '%` + token + `%'`); n != 0 {
		t.Error("the token is on record")
	}
	if a := b.send(gate.Ask{User: "ann", SID: "s4", Resource: "desk", ID: "ask-s4", Chosen: true, More: true, Takeover: token}); a.Outcome != gate.Deny || a.Denial.Token != gate.TokenUsed {
		t.Errorf("again: %+v", a)
	}
}

// A grant that did not let its login in, or whose login left before it was judged, is there for another.
func TestGrantOfALoginThatIsNotLetIn(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"require_grant": true, "condition": "session.resource != 'bad'"}`)
	token := b.grant(gate.GrantRequest{})
	b.unasked("ann", "s1", "bad", token)
	b.eventually("ann", "s1=evicting:rule")
	if a := b.send(gate.Ask{User: "ann", SID: "s2", Resource: "phone", ID: "ask-s2", Chosen: true, More: true, Takeover: token}); a.Outcome != gate.Allow {
		t.Errorf("%+v", a)
	}
}

// The session that a login's user chose goes, also if the login was not decided in time.
func TestChoiceOfALoginThatWasLetInUndecided(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.own()
	b.rule(`{"max_sessions": 2, "on_excess": "choose", "ghost_after_seconds": 1}`)
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "tablet")
	a := b.ask("ann", "s3", "web")
	if a.Outcome != gate.Deny || len(a.Denial.Choices) != 2 {
		t.Fatalf("%+v", a)
	}
	token := ""
	for _, c := range a.Denial.Choices {
		if c.Resource == "tablet" {
			token = c.Token
		}
	}
	b.unasked("ann", "s3", "web", token)
	b.eventually("ann", "s1=active s2=evicting:takeover s3=active")
}
