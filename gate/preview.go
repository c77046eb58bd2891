package gate

import (
	"context"
	"slices"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// PreviewRequest asks what a rule would come to for the sessions that live now.
type PreviewRequest struct {
	Scope   store.RuleScope
	Rule    *rules.Rule // nil: as if the scope had none
	Domains []string    // only accounts of these; nil: all
}

// Preview is what it would come to.
type Preview struct {
	Considered int  // accounts with live sessions that were looked at
	Accounts   int  // of those, the ones over a limit
	Sessions   int  // of those, the sessions that would go; none where the rule is not enforced
	Complete   bool // all were looked at in time
	Example    *PreviewExample
}

// PreviewExample is the first account that is over a limit.
type PreviewExample struct {
	Key         store.Key
	Account     string
	Sessions    []store.Session // who would go
	Explanation []string
}

const (
	previewTime = 8 * time.Second
	previewPage = 500 // accounts
)

// previewTurn waits until one of those who look at the whole record may begin; leave ends its turn. ErrOverloaded if ctx ends first.
func (g *Gate) previewTurn(ctx context.Context) (leave func(), err error) {
	select {
	case g.previews <- struct{}{}:
		return func() { <-g.previews }, nil
	case <-ctx.Done():
		return nil, ErrOverloaded
	}
}

// Preview judges every account that the rule would hold for by what is on record, as if it held. It locks and changes nothing, and takes a few seconds at
// most: what is not looked at by then is left out, and the preview is not complete. Two run at once; more wait, and get ErrOverloaded if that takes too long.
func (g *Gate) Preview(ctx context.Context, req PreviewRequest) (Preview, error) {
	var p Preview
	ctx, cancel := context.WithTimeout(ctx, previewTime)
	defer cancel()
	leave, err := g.previewTurn(ctx)
	if err != nil {
		return p, err
	}
	defer leave()
	var at store.Key
	for {
		page, err := g.store.Walk(ctx, store.Crowd{RuleScope: req.Scope, Domains: req.Domains}, at, previewPage)
		if err != nil {
			return p, inTime(ctx, err)
		}
		records, err := g.peek(ctx, page.JIDs)
		if err != nil {
			return p, inTime(ctx, err)
		}
		for _, r := range records {
			p.add(r, req)
		}
		if !page.More {
			p.Complete = true
			return p, nil
		}
		at = page.Last
	}
}

// inTime takes the end of the time for what it is: what was found so far is the answer.
func inTime(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return nil
	}
	return err
}

func (p *Preview) add(r *store.Record, req PreviewRequest) {
	rule := rules.Merge(replaced(r.Levels, req.Scope.Level, req.Rule)...)
	d := rules.Excess(factsOf(r, rule), r.Now)
	p.Considered++
	if d.Outcome == rules.Allow {
		return
	}
	p.Accounts++
	p.Sessions += len(d.Evict)
	if p.Example != nil {
		return
	}
	p.Example = &PreviewExample{Key: r.Key, Account: r.JID, Explanation: d.Explanation}
	for _, n := range d.Evict {
		p.Example.Sessions = append(p.Example.Sessions, *r.ByGeneration(n))
	}
}

// replaced are the levels, strongest first, with another rule at one of them, or none.
func replaced(levels []rules.LevelRule, level rules.Level, rule *rules.Rule) []rules.LevelRule {
	var out []rules.LevelRule
	for _, l := range []rules.Level{rules.LevelAccount, rules.LevelGroup, rules.LevelDomain, rules.LevelDefault} {
		i := slices.IndexFunc(levels, func(x rules.LevelRule) bool { return x.Level == l })
		switch {
		case l != level && i >= 0:
			out = append(out, levels[i])
		case l == level && rule != nil:
			out = append(out, rules.LevelRule{Level: l, Rule: *rule})
		}
	}
	return out
}
