package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// displaced reads a displacement in short: "winner ago silent [gap5] [own] [frozen100] [turns2]", times in seconds.
func displaced(t *testing.T, f *Facts, text string) {
	t.Helper()
	if text == "" {
		return
	}
	words := strings.Fields(text)
	at := func(word string) time.Time { return eight.Add(-time.Duration(number(t, word)) * time.Second) }
	d := &Displacement{Party: f.Newcomer.Party, Winner: number(t, words[0]), At: at(words[1]), SilentSince: at(words[2])}
	for _, w := range words[3:] {
		if n, ok := strings.CutPrefix(w, "gap"); ok {
			d.LongestGap = time.Duration(number(t, n)) * time.Second
		} else if n, ok := strings.CutPrefix(w, "frozen"); ok {
			d.FrozenUntil = eight.Add(time.Duration(number(t, n)) * time.Second)
		} else if n, ok := strings.CutPrefix(w, "turns"); ok {
			for range number(t, n) {
				d.Turns = append(d.Turns, d.At)
			}
		} else {
			d.Own = true
		}
	}
	f.Displaced = d
}

func protectedInShort(d Decision) string {
	s := inShort(d)
	if d.RetryAfter > 0 {
		s += " retry " + strconv.Itoa(int(d.RetryAfter/time.Second))
	}
	if len(d.Displaced) > 0 {
		s += fmt.Sprintf(" displaces %v", d.Displaced)
	}
	if len(d.Replaced) > 0 {
		s += fmt.Sprintf(" replaces %v", d.Replaced)
	}
	if d.Cloned {
		s += " cloned"
	}
	return s
}

func TestProtection(t *testing.T) {
	t.Parallel()
	const one = `{"max_sessions":1}`
	tests := []struct {
		words     string
		rule      string
		newcomer  string
		displaced string // by whom, how long ago, silent for how long
		sessions  list
		want      string
	}{
		// The first takeover.
		{"a takeover displaces who lives", one, "b web party=2", "", list{"1 a web active party=1"}, "allow takeover evict [1] (account) displaces [1]"},
		{"a dead one is not displaced, it is gone", `{"max_sessions":1,"on_excess":"deny"}`, "b web party=2", "", list{"1 a web active silent party=1"}, "allow takeover evict [1] (account)"},
		{"a suspended phone is displaced: it will want to come back", one, "b web party=2", "", list{"1 a web hibernating party=1"}, "allow takeover evict [1] (account) displaces [1]"},
		{"not so by its own return", `{}`, "a web party=1", "", list{"1 a web hibernating party=1"}, "allow takeover evict [1] (default)"},
		{"a second time within ten minutes by who cannot be told from it: is it the same?", `{}`, "a web party=1", "5 200 190 turns1", list{"5 a web active party=1"}, "need takeover probe [5] (default)"},
		{"it is another client", `{}`, "a web party=1", "5 200 190 turns1", list{"5 a web active alive party=1"}, "allow takeover evict [5] (default) displaces [5]"},
		{"it is", `{}`, "a web party=1", "5 200 190 turns1", list{"5 a web active silent party=1"}, "allow own_reconnect evict [5] (default)"},

		// The displaced wait.
		{"who was displaced has the winner asked for a sign of life", one, "a web party=1", "5 1 1", list{"5 b web active party=2"}, "need cooldown probe [5] (default)"},
		{"the winner answers: it has to wait", one, "a web party=1", "5 1 1", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 30"},
		{"one that is still binding needs no asking", one, "a web party=1", "5 1 1", list{"5 b web binding party=2"}, "deny cooldown <resource-constraint/> (default) retry 30"},
		{"silent for the cooldown: it may", one, "a web party=1", "5 31 30", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"a second less: it may not", one, "a web party=1", "5 31 29", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 290"},
		{"silence is counted from its last attempt", one, "a web party=1", "5 3600 10 gap1", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 100"},
		{"ten times its longest gap: one that comes every ten seconds", one, "a web party=1", "5 100 10 gap10", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 100"},
		{"and backs off sixfold", one, "a web party=1", "5 70 60 gap10", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 600"},
		{"and again", one, "a web party=1", "5 370 300 gap60", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 3000"},
		{"an hour at most", one, "a web party=1", "5 9000 3599 gap2000", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 3600"},
		{"after that hour it may", one, "a web party=1", "5 9000 3600 gap2000", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"takeover_cooldown_max_seconds ends even that", `{"max_sessions":1,"takeover_cooldown_max_seconds":60}`, "a web party=1", "5 55 2 gap20", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 5"},
		{"then it may", `{"max_sessions":1,"takeover_cooldown_max_seconds":60}`, "a web party=1", "5 60 2 gap20", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"no cooldown, no wait", `{"max_sessions":1,"takeover_cooldown_seconds":0}`, "a web party=1", "5 0 0 gap20", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"deny_condition holds", `{"max_sessions":1,"deny_condition":"conflict"}`, "a web party=1", "5 1 1", list{"5 b web active alive party=2"}, "deny cooldown <conflict/> (default) retry 30"},
		{"under shadow it is only said", `{"max_sessions":1,"enforce":false}`, "a web party=1", "5 1 1", list{"5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) shadow retry 30"},

		// Where nobody has to go there is nothing to protect.
		{"there is room: welcome back", `{"max_sessions":2}`, "a web party=1", "5 1 1", list{"5 b web active party=2"}, "allow ok (default)"},
		{"a third would have to go: wait", `{"max_sessions":2}`, "a web party=1", "5 1 1", list{"4 c web active party=3", "5 b web active alive party=2"}, "deny cooldown <resource-constraint/> (default) retry 30"},
		{"the winner is gone: anyone may", one, "a web party=1", "5 1 1", list{"6 c web active party=3"}, "allow takeover evict [6] (account) displaces [6]"},
		{"a rule that denies has the first word", `{"max_sessions":1,"on_excess":"deny"}`, "a web party=1", "5 1 1", list{"5 b web active alive party=2"}, "deny limit <resource-constraint/> (account)"},
		{"who was never displaced takes over", one, "c web party=3", "", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},

		// Same resource, no id: who cannot be told from the displaced counts as it, and the winner coming back looks the same.
		{"the same resource: the winner is asked", `{}`, "a web party=1", "5 1 1", list{"5 a web active party=1"}, "need cooldown probe [5] (default)"},
		{"it answers: this is another client", `{}`, "a web party=1", "5 1 1", list{"5 a web active alive party=1"}, "deny cooldown <resource-constraint/> (default) retry 30"},
		{"it does not: this is the winner coming back", `{}`, "a web party=1", "5 1 1", list{"5 a web active silent party=1"}, "allow own_reconnect evict [5] (default)"},
		{"it hibernates: likewise", `{}`, "a web party=1", "5 1 1", list{"5 a web hibernating party=1"}, "allow own_reconnect evict [5] (default)"},
		{"resources that the server made, no id", one, "x1 web", "5 1 1", list{"5 x2 web active alive"}, "deny cooldown <resource-constraint/> (default) retry 30"},
		{"and a winner that is dead: first come, first served", one, "x1 web", "5 1 1", list{"5 x2 web active silent"}, "allow takeover evict [5] (account)"},

		// A winner that could not be asked.
		{"the same resource, and it could not be asked: first come, first served", `{}`, "a web party=1", "5 1 1", list{"5 a web active unasked party=1"}, "allow takeover evict [5] (default) displaces [5]"},
		{"not where a loop is broken", `{}`, "a web party=1", "5 1 1 frozen200", list{"5 a web active unasked party=1"}, "deny frozen <resource-constraint/> (default) retry 200"},
		{"a rival's counts as alive", one, "a web party=1", "5 1 1", list{"5 b web active unasked party=2"}, "deny cooldown <resource-constraint/> (default) retry 30"},
		{"so does one of whom nothing is known", one, "x1 web", "5 1 1", list{"5 x2 web active unasked"}, "deny cooldown <resource-constraint/> (default) retry 30"},
		{"and one that holds its resource, or its place, by a rule that denies", `{"same_resource":"deny"}`, "a web party=1", "", list{"5 a web active unasked party=1"}, "deny same_resource <conflict/> (account)"},
		{"an id is not found out to be cloned so", `{}`, "x web certain dev7 party=7", "4 10 10 own turns1", list{"4 y web active unasked dev7 party=7"}, "allow own_reconnect evict [4] (default) replaces [4]"},
		{"and a grant is not made needless", `{"require_grant":true}`, "a web party=1", "", list{"4 a web active unasked party=1"}, "deny grant_required <resource-constraint/> (account)"},

		// A winner without a client is protected for a while against who is known to be displaced.
		{"a winner that was seen just now is waited for", one, "a web party=1", "5 100 1", list{"5 b web active silent party=2 idle10"}, "deny cooldown <resource-constraint/> (default) retry 20"},
		{"a hibernating one too", one, "a web party=1", "5 100 1", list{"5 b web hibernating party=2 idle600 paused12"}, "deny cooldown <resource-constraint/> (default) retry 18"},
		{"found hibernating", one, "a web party=1", "5 100 1", list{"5 b web active asleep party=2 idle29"}, "deny cooldown <resource-constraint/> (default) retry 1"},
		{"not for longer than the cooldown", one, "a web party=1", "5 100 1", list{"5 b web hibernating party=2 idle600 paused30"}, "allow takeover evict [5] (account) displaces [5]"},
		{"anyone else replaces it", one, "c web party=3", "", list{"5 b web hibernating party=2"}, "allow takeover evict [5] (account) displaces [5]"},

		// Ways out.
		{"a grant", one, "a web party=1 grant", "5 1 1", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"a grant past a freeze", one, "a web party=1 grant", "5 1 1 frozen100", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"a grant past a full house", `{"max_sessions":1,"on_excess":"deny","same_resource":"deny"}`, "b web party=2 grant", "", list{"1 b web active alive party=1"}, "allow takeover evict [1] (account) displaces [1]"},
		{"not past a block", one, "a web party=1 grant blocked", "", nil, "deny blocked <not-allowed/> (default)"},
		{"not past a condition", `{"condition":"session.secure"}`, "a web party=1 grant", "", nil, "deny condition <resource-constraint/> (account)"},

		// The loop breaker.
		{"frozen: whoever has waited", one, "a web party=1", "5 100 100 frozen200", list{"5 b web active alive party=2"}, "deny frozen <resource-constraint/> (default) retry 1000"},
		{"also without a cooldown", `{"max_sessions":1,"takeover_cooldown_seconds":0}`, "a web party=1", "5 100 100 frozen200", list{"5 b web active alive party=2"}, "deny frozen <resource-constraint/> (account) retry 200"},
		{"not against others", one, "c web party=3", "", list{"5 b web active alive party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"not when the winner is gone", one, "a web party=1", "5 100 100 frozen200", list{"6 c web active party=3"}, "allow takeover evict [6] (account) displaces [6]"},

		// Ids that are known for certain.
		{"the first replacement is the device's own reconnect", `{}`, "x certain dev7 party=7 web", "", list{"4 y web active dev7 party=7"}, "allow own_reconnect evict [4] (default) replaces [4]"},
		{"the second within the cooldown: is anyone there?", `{}`, "x web certain dev7 party=7", "4 10 10 own turns1", list{"4 y web active dev7 party=7"}, "need cooldown probe [4] (default)"},
		{"nobody: a bad network", `{}`, "x web certain dev7 party=7", "4 10 10 own turns1", list{"4 y web active silent dev7 party=7"}, "allow own_reconnect evict [4] (default)"},
		{"somebody: the id is cloned, and as good as unknown", one, "x web certain dev7 party=7", "4 10 10 own turns1", list{"4 y web active alive dev7 party=7"}, "deny cooldown <resource-constraint/> (default) retry 100 cloned"},
		{"where there is room both stay", `{}`, "x web certain dev7 party=7", "4 10 10 own turns1", list{"4 y web active alive dev7 party=7"}, "allow ok (default) cloned"},
		{"after the cooldown it is the first again", `{}`, "x web certain dev7 party=7", "4 40 40 own turns1", list{"4 y web active dev7 party=7"}, "allow own_reconnect evict [4] (default) replaces [4]"},
		{"but the third in ten minutes is looked at", `{}`, "x web certain dev7 party=7", "4 40 40 own turns2", list{"4 y web active dev7 party=7"}, "need cooldown probe [4] (default)"},
		{"and found out", one, "x web certain dev7 party=7", "4 40 40 own turns2", list{"4 y web active alive dev7 party=7"}, "allow takeover evict [4] (account) displaces [4] cloned"},
		{"a bind that is not there yet proves nothing", `{}`, "x web certain dev7 party=7", "4 10 10 own turns1", list{"4 y web binding dev7 party=7"}, "allow own_reconnect evict [4] (default) replaces [4]"},
		{"once marked it replaces nothing", one, "x web dev7 party=7 cloned", "", list{"4 y web active dev7 party=7"}, "allow takeover evict [4] (account) displaces [4]"},
		{"an id of its own takes over from a resource without", `{}`, "a web certain dev7 party=7", "", list{"4 a web active party=1"}, "allow takeover evict [4] (default) displaces [4]"},

		// What a kick asked for.
		{"kicked, and has to wait", `{}`, "a web party=1 wait=20", "", nil, "deny cooldown <resource-constraint/> (default) retry 20"},
		{"the wait is over", `{}`, "a web party=1 wait=0", "", nil, "allow ok (default)"},
		{"a grant ends it", `{}`, "a web party=1 wait=20 grant", "", nil, "allow ok (default)"},

		// require_grant.
		{"a new device without a grant", `{"require_grant":true}`, "a web party=1", "", nil, "deny grant_required <resource-constraint/> (account)"},
		{"with one", `{"require_grant":true}`, "a web party=1 grant", "", nil, "allow ok (default)"},
		{"one that is known", `{"require_grant":true}`, "a web party=1 known", "", nil, "allow ok (default)"},
		{"one on a resource that is in use: is it the same?", `{"require_grant":true}`, "a web party=1", "", list{"4 a web active party=1"}, "need grant_required probe [4] (account)"},
		{"that is somebody else", `{"require_grant":true}`, "a web party=1", "", list{"4 a web active alive party=1"}, "deny grant_required <resource-constraint/> (account)"},
		{"that is dead: it is", `{"require_grant":true}`, "a web party=1", "", list{"4 a web active silent party=1"}, "allow takeover evict [4] (default)"},
		{"a certain id is told by itself", `{"require_grant":true}`, "a web certain dev7 party=7", "", list{"4 a web active party=1"}, "deny grant_required <resource-constraint/> (account)"},
		{"under shadow", `{"require_grant":true,"enforce":false}`, "a web party=1", "", nil, "deny grant_required <resource-constraint/> (account) shadow"},

		// choose.
		{"choose: first who might be dead is asked", `{"max_sessions":1,"on_excess":"choose"}`, "b web party=2", "", list{"1 a web active party=1"}, "need choose probe [1] (account)"},
		{"choose: the newcomer is denied", `{"max_sessions":1,"on_excess":"choose"}`, "b web party=2", "", list{"1 a web active alive party=1"}, "deny choose <resource-constraint/> (account)"},
		{"choose: who was chosen goes", `{"max_sessions":2,"on_excess":"choose"}`, "b web party=2 chose=3", "", list{"1 a web active party=1", "3 c web active party=3"}, "allow takeover evict [3] (account) displaces [3]"},
		{"choose: far over, the oldest go with it", `{"max_sessions":1,"on_excess":"choose"}`, "b web party=2 chose=3", "", list{"1 a web active party=1", "3 c web active party=3"}, "allow takeover evict [1 3] (account) displaces [1 3]"},
		{"choose: the choice has nothing to do with what is exceeded", `{"max_per_platform":{"ios":1},"on_excess":"choose"}`, "b ios party=2 chose=3", "", list{"1 a ios active alive party=1", "3 c web active alive party=3"}, "deny choose <resource-constraint/> (account)"},
		{"choose: a choice is no obstacle", `{"max_sessions":1,"on_excess":"choose"}`, "a web party=1 chose=5", "5 1 1", list{"5 b web active party=2"}, "allow takeover evict [5] (account) displaces [5]"},
		{"choose: who is gone cannot be chosen", `{"max_sessions":1,"on_excess":"choose"}`, "b web party=2 chose=9 token=session_gone", "", list{"1 a web active alive party=1"}, "deny choose <resource-constraint/> (account)"},
		{"choose: a grant needs no choice", `{"max_sessions":1,"on_excess":"choose"}`, "b web party=2 grant", "", list{"1 a web active party=1"}, "allow takeover evict [1] (account) displaces [1]"},
		{"a choice where nobody may choose", one, "b web party=2 chose=3", "", list{"1 a web active party=1", "3 c web active party=3"}, "allow takeover evict [1 3] (account) displaces [1 3]"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			words := strings.Fields(tt.newcomer)
			if i := slices.Index(words, "web"); i > 1 { // the platform comes second
				words = slices.Insert(slices.Delete(words, i, i+1), 1, "web")
			}
			f := facts(t, tt.rule, strings.Join(words, " "), tt.sessions...)
			displaced(t, &f, tt.displaced)
			d := Decide(f, eight)
			if got := protectedInShort(d); got != tt.want {
				t.Errorf("got  %s\nwant %s\n%s", got, tt.want, strings.Join(d.Explanation, "\n"))
			}
		})
	}
}

// The explanation of what the protection does, in full.
func TestProtectionInWords(t *testing.T) {
	t.Parallel()
	tests := []struct {
		words, rule, newcomer, displaced string
		sessions                         list
		want                             list
	}{
		{
			"cooldown", `{"max_sessions":1}`, "a web party=1", "5 12 10 gap10", list{"5 b web active alive party=2"},
			list{
				`Login on resource "a", platform "web". Other live sessions: 1: "b" (platform "web", active, answers, idle 0 s, generation 5).`,
				`The newcomer, or who cannot be told from it, was displaced 12 s ago; what stands for that is "b" (platform "web", active, answers, idle 0 s, generation 5).`,
				`It has to be silent for 30 s (takeover_cooldown_seconds, by default) and for ten times the longest gap between its attempts, which is 10 s; 90 s are left.`,
				`In all: 2 with the newcomer, 1 allowed (max_sessions, set for the account); on_excess is evict_oldest, by default, the oldest first. Would go: "b" (platform "web", active, answers, idle 0 s, generation 5).`,
				`Denied: cooldown, to be tried again in 100 s.`,
			},
		},
		{
			"frozen", `{"max_sessions":1,"takeover_cooldown_seconds":0}`, "a web party=1", "5 1 1 frozen200", list{"5 b web active alive party=2"},
			list{
				`Login on resource "a", platform "web". Other live sessions: 1: "b" (platform "web", active, answers, idle 0 s, generation 5).`,
				`The newcomer, or who cannot be told from it, was displaced 1 s ago; what stands for that is "b" (platform "web", active, answers, idle 0 s, generation 5).`,
				`The two displaced each other 3 times within 600 s: who is in stays, for 200 s more.`,
				`In all: 2 with the newcomer, 1 allowed (max_sessions, set for the account); on_excess is evict_oldest, by default, the oldest first. Would go: "b" (platform "web", active, answers, idle 0 s, generation 5).`,
				`Denied: frozen, to be tried again in 200 s.`,
			},
		},
		{
			"a token that does not count", `{"require_grant":true}`, "a web party=1 token=expired", "", nil,
			list{
				`Login on resource "a", platform "web". Other live sessions: 0.`,
				`The token that it brought does not count: "expired".`,
				`The newcomer's device was never admitted, and a new device needs a grant (require_grant, set for the account). It has none.`,
				`Denied: grant_required.`,
			},
		},
		{
			"a kick that made it wait", `{}`, "a web party=1 wait=20", "", nil,
			list{
				`Login on resource "a", platform "web". Other live sessions: 0.`,
				`The newcomer, or who cannot be told from it, was kicked and has to wait for 20 s more.`,
				`Denied: cooldown, to be tried again in 20 s.`,
			},
		},
		{
			"who may be the winner comes back", `{}`, "a web party=1", "5 1 1", list{"5 a web active unasked party=1"},
			list{
				`Login on resource "a", platform "web". Other live sessions: 1: "a" (platform "web", active, could not be asked for a sign of life, idle 0 s, generation 5).`,
				`The newcomer, or who cannot be told from it, was displaced 1 s ago; what stands for that is "a" (platform "web", active, could not be asked for a sign of life, idle 0 s, generation 5).`,
				`It has to be silent for 30 s (takeover_cooldown_seconds, by default) and for ten times the longest gap between its attempts, which is 0 s; 29 s are left.`,
				`That session could not be asked for a sign of life, and this may be its client, coming back: first come, first served.`,
				`The resource is in use; same_resource is replace, by default. Goes: "a" (platform "web", active, could not be asked for a sign of life, idle 0 s, generation 5).`,
				`No limit counts this login.`,
				`Allowed: takeover.`,
			},
		},
		{
			"the winner comes back", `{}`, "a web party=1", "5 1 1", list{"5 a web active silent party=1"},
			list{
				`Login on resource "a", platform "web". Other live sessions: 1: "a" (platform "web", active, does not answer, idle 0 s, generation 5).`,
				`The newcomer, or who cannot be told from it, was displaced 1 s ago; what stands for that is "a" (platform "web", active, does not answer, idle 0 s, generation 5).`,
				`It has to be silent for 30 s (takeover_cooldown_seconds, by default) and for ten times the longest gap between its attempts, which is 0 s; 29 s are left.`,
				`That session does not answer: this is its client, coming back.`,
				`The resource is in use; same_resource is replace, by default. Goes: "a" (platform "web", active, does not answer, idle 0 s, generation 5).`,
				`No limit counts this login.`,
				`Allowed: own_reconnect.`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			f := facts(t, tt.rule, tt.newcomer, tt.sessions...)
			displaced(t, &f, tt.displaced)
			if diff := cmp.Diff(tt.want, Decide(f, eight).Explanation); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}
