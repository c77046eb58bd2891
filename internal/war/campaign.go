package war

import (
	"context"
	"fmt"
	"io"
	"sync"
	"text/tabwriter"
	"time"
)

// rampUp is the time between two trials' beginnings: a crowd that logs in within an instant would measure the machine.
const rampUp = 75 * time.Millisecond

// FightAll runs trials, sideBySide of them at once, and returns their results in the same order. over is told of each that is over; it may be nil, and is called
// by one goroutine at a time. When ctx ends, what was not begun has no result but that.
func (f *Field) FightAll(ctx context.Context, trials []Trial, sideBySide int, over func(Result)) []Result {
	results := make([]Result, len(trials))
	next := make(chan int)
	var told sync.Mutex
	var all sync.WaitGroup
	for range min(sideBySide, len(trials)) {
		all.Go(func() {
			for i := range next {
				results[i] = f.Fight(ctx, trials[i])
				if over != nil {
					told.Lock()
					over(results[i])
					told.Unlock()
				}
			}
		})
	}
	tick := time.NewTicker(rampUp)
	defer tick.Stop()
	for i, t := range trials {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
		if ctx.Err() != nil {
			results[i] = Result{Trial: t, Reasons: []string{"it did not begin"}}
			continue
		}
		next <- i
	}
	close(next)
	all.Wait()
	return results
}

// tally is a row of the table.
type tally struct {
	kind                                Kind
	policy                              Policy
	cooldown                            time.Duration
	trials, held, answered, rows, voids int
	fewest, minuteRows                  int
	pace                                float64
	slowest                             time.Duration
}

// Table prints how trials went, by kind, policy and cooldown, and returns how many did not go as they should.
func Table(w io.Writer, results []Result) (failed int, err error) {
	var order []*tally
	type key struct {
		Kind
		Policy
		time.Duration
	}
	by := map[key]*tally{}
	sum := &tally{}
	for i := range results {
		r := &results[i]
		k := key{r.Kind, r.Policy, r.Cooldown}
		if by[k] == nil {
			by[k] = &tally{kind: r.Kind, policy: r.Policy, cooldown: r.Cooldown}
			order = append(order, by[k])
		}
		by[k].add(r)
		sum.add(r)
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "kind\ttries again\tcooldown\ttrials\tvoid\theld\tattempts\tfewest\tpace\tslowest\trows\ta minute")
	for _, t := range order {
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", t.kind, t.policy, t.cooldown, t)
	}
	fmt.Fprintf(tw, "all\t\t\t%s\n", sum)
	return sum.trials - sum.held, tw.Flush()
}

func (t *tally) add(r *Result) {
	if t.trials == 0 || r.Answered < t.fewest {
		t.fewest = r.Answered
	}
	t.trials++
	if r.Held() {
		t.held++
	}
	t.answered += r.Answered
	t.voids += r.Voids
	t.rows += r.Rows
	t.minuteRows = max(t.minuteRows, r.MinuteRows)
	t.pace = max(t.pace, r.Pace)
	t.slowest = max(t.slowest, r.Slowest)
}

func (t *tally) String() string {
	return fmt.Sprintf("%d\t%d\t%d\t%d\t%d\t%.2f\t%.1f s\t%d\t%d", t.trials, t.voids, t.held, t.answered, t.fewest, t.pace, t.slowest.Seconds(), t.rows, t.minuteRows)
}

// Legend says what the columns of Table are.
const Legend = `void: fought again, because the machine kept the loser waiting for longer than the cooldown.
held: the one that a person logged in last stayed, undisturbed. attempts: of the other one, answered; fewest: in one trial.
pace: the busiest device's attempts after 10 s, as a part of one in 4 s. slowest: answer, denials are held for up to 4 s.
rows: denials on record; a minute: most of one account within a minute.`

// Tell prints what was wrong with the trials that did not go as they should, and of the first few all that happened in them.
func Tell(w io.Writer, results []Result, diaries int) {
	for i := range results {
		r := &results[i]
		if r.Held() {
			continue
		}
		fmt.Fprintf(w, "\n%s\n", r)
		for _, reason := range r.Reasons {
			fmt.Fprintf(w, "  ✗ %s\n", reason)
		}
		if diaries--; diaries >= 0 {
			fmt.Fprintln(w, r.Diary)
		}
	}
}
