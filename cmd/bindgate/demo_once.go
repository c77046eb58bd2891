package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/bindgate/bindgate/internal/xmppclient"
)

// scene is one step of the scenario, while it is told.
type scene struct {
	*world
	clients []*xmppclient.Client
}

// steps is the scenario. Each has accounts of its own.
var steps = []struct {
	title string
	play  func(*scene, context.Context) error
}{
	{"Two devices want the same resource; the newest wins (RFC 3920, case 1)", (*scene).newestWins},
	{"Two devices want the same resource, same_resource is deny; the newcomer is refused, and may take another (case 2)", (*scene).oldestKeepsItsResource},
	{"Two devices with resources of their own, max_sessions is 1; the older has to go, and mail finds the other", (*scene).oneSession},
	{"max_sessions is 1, on_excess is deny; the newcomer is refused", (*scene).limitDenies},
	{"Each device reads its text in the language of its own stream", (*scene).languages},
	{"What has been sent away cannot be resumed (XEP-0198)", (*scene).noResumption},
	{"A dead phone does not keep its owner out: it is probed, does not answer, and goes", (*scene).ghost},
	{"The app backend kicks a device over REST, and the answer is proof that it is gone", (*scene).kickByAPI},
	{"The record says what the server says", (*scene).recordAgrees},
}

// tellScenario plays the steps, up to the first that goes otherwise.
func tellScenario(ctx context.Context, w *world) error {
	for i, step := range steps {
		fmt.Fprintf(w.out, "\n%d. %s\n", i+1, step.title)
		s := &scene{world: w}
		stepCtx, cancel := context.WithTimeout(ctx, 30*time.Second)
		err := step.play(s, stepCtx)
		cancel()
		s.leave()
		if err != nil && ctx.Err() == nil {
			fmt.Fprintf(w.out, "   ✗ %v\n\nStep %d went otherwise.\n", err, i+1)
			w.tailLogs()
			return errReported
		}
		if err != nil {
			return err
		}
	}
	fmt.Fprintf(w.out, "\nAll %d steps went as told.\n", len(steps))
	return nil
}

func (s *scene) newestWins(ctx context.Context) error {
	if err := s.rule(ctx, "anna", map[string]any{"same_resource": "replace"}); err != nil {
		return err
	}
	first, err := s.device(ctx, "anna", "home", "en", false)
	if err != nil {
		return err
	}
	second, err := s.device(ctx, "anna", "home", "en", false)
	if err != nil {
		return err
	}
	if err := s.sentAway(ctx, first, "the first device", "takeover", "en"); err != nil {
		return err
	}
	return s.only(ctx, "anna", second)
}

func (s *scene) oldestKeepsItsResource(ctx context.Context) error {
	if err := s.rule(ctx, "bert", map[string]any{"same_resource": "deny"}); err != nil {
		return err
	}
	first, err := s.device(ctx, "bert", "home", "en", false)
	if err != nil {
		return err
	}
	second, err := s.stream(ctx, "bert", "en", false)
	if err != nil {
		return err
	}
	if err := s.refused(ctx, second, "home", "conflict", "cancel", "same_resource"); err != nil {
		return err
	}
	if err := s.bind(ctx, second, "home2"); err != nil {
		return err
	}
	s.fine("its stream stayed open, and the next try with another resource is in")
	return s.only(ctx, "bert", first, second)
}

func (s *scene) oneSession(ctx context.Context) error {
	if err := s.rule(ctx, "clara", map[string]any{"max_sessions": 1}); err != nil {
		return err
	}
	first, err := s.device(ctx, "clara", "tigase-10", "en", false)
	if err != nil {
		return err
	}
	second, err := s.device(ctx, "clara", "tigase-11", "en", false)
	if err != nil {
		return err
	}
	if err := s.sentAway(ctx, first, "tigase-10", "takeover", "en"); err != nil {
		return err
	}
	if err := second.SendPresence(0); err != nil {
		return err
	}
	friend, err := s.device(ctx, "friend", "", "en", false)
	if err != nil {
		return err
	}
	if err := friend.SendMessage("clara@"+s.prosody.Domain(), "Which device are you on?"); err != nil {
		return err
	}
	got, err := second.Expect(ctx, func(e *xmppclient.Stanza) bool {
		return e.Name.Local == "message" && strings.Contains(e.Raw, "Which device")
	})
	if err != nil {
		return fmt.Errorf("a message to clara's bare address did not reach tigase-11: %w", err)
	}
	s.wire("tigase-11 reads", got.Raw)
	return s.only(ctx, "clara", second)
}

func (s *scene) limitDenies(ctx context.Context) error {
	if err := s.rule(ctx, "dora", map[string]any{"max_sessions": 1, "on_excess": "deny"}); err != nil {
		return err
	}
	first, err := s.device(ctx, "dora", "laptop", "en", false)
	if err != nil {
		return err
	}
	second, err := s.stream(ctx, "dora", "en", false)
	if err != nil {
		return err
	}
	if err := s.refused(ctx, second, "phone", "resource-constraint", "wait", "limit"); err != nil {
		return err
	}
	first.Close()
	s.say("dora's laptop logs out")
	if err := s.bind(ctx, second, "phone"); err != nil {
		return err
	}
	return s.only(ctx, "dora", second)
}

func (s *scene) languages(ctx context.Context) error {
	if err := s.rule(ctx, "emi", map[string]any{"max_sessions": 1}); err != nil {
		return err
	}
	langs := []string{"ja", "zh", "en"}
	var before *xmppclient.Client
	for i, lang := range append(langs, "en") {
		c, err := s.device(ctx, "emi", fmt.Sprintf("android-%d", i+1), lang, false)
		if err != nil {
			return err
		}
		if before != nil {
			if err := s.sentAway(ctx, before, fmt.Sprintf("android-%d", i), "takeover", langs[i-1]); err != nil {
				return err
			}
		}
		before = c
	}
	return s.only(ctx, "emi", before)
}

func (s *scene) noResumption(ctx context.Context) error {
	if err := s.rule(ctx, "finn", map[string]any{"max_sessions": 1}); err != nil {
		return err
	}
	first, err := s.device(ctx, "finn", "laptop", "en", true)
	if err != nil {
		return err
	}
	id := first.SMID()
	second, err := s.device(ctx, "finn", "phone", "en", true)
	if err != nil {
		return err
	}
	if err := s.sentAway(ctx, first, "the laptop", "takeover", "en"); err != nil {
		return err
	}
	again, err := s.stream(ctx, "finn", "en", false)
	if err != nil {
		return err
	}
	err = again.Resume(ctx, id, first.Handled())
	refused, ok := errors.AsType[*xmppclient.ResumeError](err)
	if !ok {
		return fmt.Errorf("the laptop's resumption ended with %w, not with <failed/>", cmpError(err, errors.New("success")))
	}
	s.wire("the laptop tries to resume, and reads", refused.Raw)
	return s.only(ctx, "finn", second)
}

func (s *scene) ghost(ctx context.Context) error {
	if err := s.rule(ctx, "gina", map[string]any{"max_sessions": 1, "on_excess": "deny", "ghost_after_seconds": 1}); err != nil {
		return err
	}
	dead, err := s.device(ctx, "gina", "phone", "en", false)
	if err != nil {
		return err
	}
	dead.Freeze()
	s.say("gina's phone falls into the lake; its connection stays open")
	began := time.Now()
	next, err := s.device(ctx, "gina", "laptop", "en", false)
	if err != nil {
		return err
	}
	took := time.Since(began)
	if took > 2*time.Second {
		return fmt.Errorf("the laptop was let in after %.1f s, not within ghost_after_seconds + 1 = 2 s", took.Seconds())
	}
	s.fine("the laptop is in after %.1f s", took.Seconds())
	return s.only(ctx, "gina", next)
}

func (s *scene) kickByAPI(ctx context.Context) error {
	victim, err := s.device(ctx, "hugo", "phone", "en", false)
	if err != nil {
		return err
	}
	var report struct {
		Results []struct {
			Resource string `json:"resource"`
			Outcome  string `json:"outcome"`
		} `json:"results"`
	}
	path := "/v1/accounts/hugo@" + s.prosody.Domain() + "/kick"
	if err := s.rest(ctx, http.MethodPost, path, map[string]any{"all": true, "reason": "demo", "text": map[string]string{"en": "Please call the help desk."}}, &report); err != nil {
		return err
	}
	if len(report.Results) != 1 || report.Results[0].Outcome != "kicked" {
		return fmt.Errorf("POST %s answered %+v, not one session with the outcome kicked", path, report.Results)
	}
	s.fine("POST %s: %s %s", path, report.Results[0].Resource, report.Results[0].Outcome)
	if err := s.sentAway(ctx, victim, "the phone", "kick", "en"); err != nil {
		return err
	}
	return s.only(ctx, "hugo")
}

func (s *scene) recordAgrees(ctx context.Context) error {
	for _, user := range []string{"ida", "jan"} {
		if _, err := s.device(ctx, user, "phone", "en", false); err != nil {
			return err
		}
	}
	err := s.until(ctx, func() (bool, error) {
		var list struct {
			Items []struct {
				Account string `json:"account"`
				State   string `json:"state"`
			} `json:"items"`
		}
		if err := s.rest(ctx, http.MethodGet, "/v1/sessions?limit=500", nil, &list); err != nil {
			return false, err
		}
		n, err := s.prosody.Sessions(ctx, s.prosody.Domain())
		if err != nil {
			return false, err
		}
		active := 0
		for _, i := range list.Items {
			if i.State == "active" {
				active++
			}
		}
		if n != active || n != len(list.Items) {
			return false, nil
		}
		s.fine("%d sessions on Prosody, %d in the record", n, active)
		return true, nil
	})
	if err != nil {
		return fmt.Errorf("GET /v1/sessions and Prosody do not agree: %w", err)
	}
	return nil
}

// tailLogs prints the end of both logs, for whoever has to find out why.
func (w *world) tailLogs() {
	own, _ := os.ReadFile(w.logFile) // an empty log is told as one
	for _, log := range []struct{ name, text string }{{"bindgate", string(own)}, {"Prosody", w.prosody.Log()}} {
		lines := strings.Split(strings.TrimSpace(log.text), "\n")
		fmt.Fprintf(w.out, "\nThe end of %s's log:\n  %s\n", log.name, strings.Join(lines[max(0, len(lines)-15):], "\n  "))
	}
}
