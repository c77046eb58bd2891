package main

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"testing"
	"time"

	"github.com/bindgate/bindgate/rules"
)

const measuredCondition = `device.platform == "web" && session.secure`

// condition compares a decision with a condition to the same without, and tells what one costs among 1, 10 and 100 sessions.
func condition(ctx context.Context, _ *slog.Logger) (row, error) {
	r := row{
		Name: "condition", Bound: "≤ 3", Unit: "× without",
		How:    fmt.Sprintf("ns per rules.Decide, a takeover, with the condition %s ÷ without", measuredCondition),
		Detail: map[string]float64{},
	}
	compiled, err := rules.Compile(measuredCondition)
	if err != nil {
		return r, err
	}
	text := measuredCondition
	var ratios, with, without []float64
	for range rounds {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		plain := login(1)
		bare := nanoseconds(plain)
		plain.Rule.Condition, plain.Condition = &text, compiled
		met := nanoseconds(plain)
		with, without, ratios = append(with, met), append(without, bare), append(ratios, met/bare)
	}
	r.Ratio = median(ratios)
	r.Holds = r.Ratio <= 3
	r.Detail["with ns"], r.Detail["without ns"] = median(with), median(without)
	for _, n := range []int{1, 10, 100} {
		r.Detail["ns among "+strconv.Itoa(n)] = nanoseconds(login(n))
	}
	return r, nil
}

// login is one over TLS from the web, where n sessions fill the account.
func login(n int) rules.Facts {
	f := rules.Facts{
		Account: "alice@example.org", Newcomer: rules.Newcomer{Resource: "web-1", Platform: "web", Identity: rules.UnknownIdentity, Secure: true},
		Rule: rules.Merge(rules.LevelRule{Level: rules.LevelDefault, Rule: rules.Rule{MaxSessions: rules.Of(&n)}}),
	}
	for i := range n {
		f.Sessions = append(f.Sessions, rules.Session{Generation: int64(i + 1), Resource: "r" + strconv.Itoa(i), Platform: "desktop", State: rules.Active})
	}
	return f
}

func nanoseconds(f rules.Facts) float64 {
	now := time.Now()
	result := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			rules.Decide(f, now)
		}
	})
	return float64(result.NsPerOp())
}
