// Package war sets clients on each other: two of one account, on one address, of which one was logged in by a person later than the other, and both of
// which reconnect for ever by themselves. Whoever a person logged in last has to stay. It runs on a real Prosody with the gate module and a running bindgate.
package war

import (
	"fmt"
	"time"

	"github.com/bindgate/bindgate/internal/xmppclient"
)

// Kind is what the two clients show of themselves.
type Kind int

// The kinds.
const (
	SameResource Kind = iota // one resource, no id
	OwnResources             // a resource each, no id
	OwnIDs                   // a certain id each, and a random resource each time
	SameID                   // one certain id (a backup restored on a second device), and a random resource each time
	NoResource               // the server makes the resource; no id
	kinds        = iota
)

func (k Kind) String() string {
	return [...]string{"same resource", "own resources", "own ids, random resources", "same id, random resources", "server's resources"}[k]
}

// Policy is when a client that is out tries again.
type Policy int

// The policies.
const (
	AtOnce Policy = iota
	OneSecond
	TenSeconds
	Growing // as Smack does it by default, ten times as fast: seven times 1 s, six times 6 s, then 30 s
)

func (p Policy) String() string {
	return [...]string{"at once", "after 1 s", "after 10 s", "growing"}[p]
}

// delay is how long a client waits before its nth attempt in a row, from 1 on.
func (p Policy) delay(n int) time.Duration {
	switch p {
	case AtOnce:
		return 0
	case OneSecond:
		return time.Second
	case TenSeconds:
		return 10 * time.Second
	}
	switch {
	case n > 13:
		return 30 * time.Second
	case n > 7:
		return 6 * time.Second
	}
	return time.Second
}

// DefaultCooldown is that of a rule that says nothing of it.
const DefaultCooldown = 30 * time.Second

// Trial is one war, on an account of its own.
type Trial struct {
	Number   int // names the account
	Kind     Kind
	Policy   Policy
	Cooldown time.Duration // of the account's rule, in whole seconds
	// Attempts and Lasts say how long it goes on at least: attempts of who is out that were answered, and a time from the takeover on.
	Attempts int
	Lasts    time.Duration
	// How the clients connect, and whether who is out tries again on the stream it has instead of a new one.
	Transport  xmppclient.Transport
	SM         bool
	SameStream bool

	again int // how often it was void before
}

func (t *Trial) user() string {
	if t.again > 0 {
		return fmt.Sprintf("war%d-%d", t.Number, t.again)
	}
	return fmt.Sprintf("war%d", t.Number)
}

// rule is the account's. A client on a machine that is busy with thousands of others may take longer to answer than a phone.
func (t *Trial) rule() string {
	fields := ""
	if t.Kind != SameResource {
		fields += `,"max_sessions":1`
	}
	if t.Cooldown != DefaultCooldown {
		fields += fmt.Sprintf(`,"takeover_cooldown_seconds":%d`, t.Cooldown/time.Second)
	}
	return `{"ghost_after_seconds":4` + fields + "}"
}

// limit is when a trial is given up: twice what it takes on an idle machine, and a minute.
func (t *Trial) limit() time.Duration {
	all := t.Lasts
	for n := range t.Attempts {
		all += t.Policy.delay(n+1) + longestHold
	}
	return 2*all + time.Minute
}

// longestHold is how long the module keeps a denial from its client at most.
const longestHold = 4 * time.Second

// shortCooldown is less than most delays of Growing, and leaves a busy machine time for the first attempt.
const shortCooldown = 5 * time.Second

// cells are the policies with the cooldowns under which they are fought. A client that waits for longer than the cooldown before it first tries again is no
// fighter: it may take over. So the short cooldown goes with the policies that begin with a second at most.
var cells = []struct {
	policy   Policy
	cooldown time.Duration
}{
	{TenSeconds, DefaultCooldown},
	{Growing, shortCooldown},
	{OneSecond, DefaultCooldown},
	{OneSecond, shortCooldown},
	{AtOnce, DefaultCooldown},
	{AtOnce, shortCooldown},
}

// Plan returns n trials, all kinds under all policies in equal numbers, those that take longest first. The one that is out tries as often at
// least as attempts says; the first of each kind and policy goes on for three cooldowns at least. Every seventh trial is over WebSocket, every seventh over BOSH.
func Plan(n int, attempts func(Policy) int) []Trial {
	trials := make([]Trial, 0, n)
	for c, cell := range cells {
		for i := range share(n, len(cells), c) {
			t := Trial{
				Number: len(trials), Kind: Kind(i % kinds), Policy: cell.policy, Cooldown: cell.cooldown, Attempts: attempts(cell.policy),
			}
			way := c + i/kinds
			t.SM, t.SameStream = way%2 == 1, way%3 == 2
			if i < kinds {
				t.Lasts = 3 * cell.cooldown
			}
			switch way % 7 {
			case 3:
				t.Transport = xmppclient.WebSocket
			case 5:
				t.Transport = xmppclient.BOSH
			}
			trials = append(trials, t)
		}
	}
	return trials
}

// share is the ith of as equal parts of n as there can be.
func share(n, parts, i int) int { return n*(i+1)/parts - n*i/parts }
