package pages

import (
	"strings"
	"testing"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/browser"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// A rule is set by a preset: one reads what it means and whom it would end, saves it, and sees it done.
func TestRuleByPreset(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	old := s.device("ada", "android-1", xmppclient.Options{})
	recent := s.device("ada", "laptop", xmppclient.Options{})
	p := s.login(t, "admin", browser.Visitor{})
	p.Go(at("/rules/edit", "level", "domain", "subject", s.server.Domain()))
	p.Follow(`form.preset:has([name=preset][value=one_device]) button`)
	p.Wait(`form[action="/dashboard/rules/save"]`)
	preview := p.Text("main")
	for _, want := range []string{"1 session", s.jid("ada"), "android-1"} {
		if !strings.Contains(preview, want) {
			t.Errorf("the preview does not say %q: %s", want, preview)
		}
	}
	s.lives(old) // nothing is done yet
	p.Follow(`form[action="/dashboard/rules/save"] button[name=apply][value=now]`)
	e := s.sentAway(old)
	if e.Ended == nil || e.Ended.Code != "rule" {
		t.Errorf("the phone was told %s", e.Raw)
	}
	p.Until("the page says that it is done", `document.querySelector('#job-state')?.innerText.trim() === 'done'`)
	if text := p.Text("#job"); !strings.Contains(text, "1 of 1 accounts") {
		t.Errorf("the progress: %s", text)
	}
	s.lives(recent)
	r, err := s.api.GetDomainRule(t.Context(), s.server.Domain())
	if n, ok := r.Rule.MaxSessions.Get(); err != nil || !ok || n != 1 {
		t.Errorf("on record: %+v, %v", r, err)
	}
}

// A login is tried without effect, and explained step by step.
func TestLoginIsTried(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	phone := s.device("ada", "android-1", xmppclient.Options{})
	if _, err := s.api.PutDefaultRule(t.Context(), client.Rule{MaxSessions: client.Set(1), OnExcess: client.DenyNewcomer}, client.RuleOptions{}); err != nil {
		t.Fatal(err)
	}
	p := s.login(t, "viewer", browser.Visitor{})
	p.Go("/dashboard/try")
	p.Type(`main input[name=account]`, s.jid("ada"))
	p.Type(`main input[name=resource]`, "laptop")
	p.Follow(`main form .button.primary`)
	verdict := p.Text(".verdict")
	if steps := browser.Eval[int](p, `document.querySelectorAll('.verdict .steps li').length`); steps < 2 || !strings.Contains(verdict, "limit") {
		t.Errorf("%d steps: %s", steps, verdict)
	}
	s.lives(phone)
	decisions, err := client.Collect(s.api.ListDecisions(t.Context(), s.jid("ada"), client.ListOptions{}))
	if err != nil || len(decisions) != 1 {
		t.Errorf("%d decisions are on record, want the one of the phone (%v)", len(decisions), err)
	}
}
