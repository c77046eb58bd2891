package gate_test

import (
	"testing"

	"github.com/bindgate/bindgate/gate"
)

// Who rode in the answer to a bind goes for the session that displaces this one, also if that was let in without being asked: nobody has to go for ever.
func TestRidersOfABindThatIsJudgedAway(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions": 1}`)
	b.login("ann", "a", "1")
	b.ask("ann", "b", "2", gate.Listed{SID: "a", Resource: "1", State: "active"})
	b.eventually("ann", "a=evicting:takeover b=binding")
	b.event(gate.EventBind, "ann", "c", "3")
	b.eventually("ann", "a=evicting:takeover b=evicting:takeover c=active")
	b.event(gate.EventGone, "ann", "b", "")
	b.eventually("ann", "a=evicting:takeover c=active")
	if n := b.count("select count(*) from sessions where evict_next <= clock_timestamp()"); n != 1 {
		t.Fatalf("%d evictions are due, want 1", n)
	}
}

// A domain has one link. When that got another name, the sessions that its server kept are taken over, and those it does not have end.
func TestLinkWithAnotherName(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "tablet")
	if _, err := b.store.Pool().Exec(t.Context(), "update sessions set link = 'before'"); err != nil {
		t.Fatal(err)
	}
	if a := b.ask("ann", "s3", "web", gate.Listed{SID: "s2", Resource: "tablet", State: "active"}); a.Outcome != gate.Allow {
		t.Fatalf("%+v", a)
	}
	b.eventually("ann", "s2=active s3=binding")
	if n := b.count("select count(*) from sessions where link <> '" + theLink + "'"); n != 0 {
		t.Fatalf("%d sessions of the old name, want none", n)
	}
}
