package rules

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"
)

// Everything that a condition can see, and how it is written.
func TestWhatAConditionSees(t *testing.T) {
	t.Parallel()
	f := Facts{
		Account: "ann@example.org", Group: "vip",
		Newcomer: Newcomer{Resource: "web-1", DeviceID: "dev_1", Platform: "web", Identity: Certain, IP: "192.0.2.7", Secure: true, Client: "Converse"},
	}
	for text, want := range map[string]bool{
		`account.jid == "ann@example.org" && account.domain == "example.org"`: true,
		`account.group in ["gold", "vip"]`:                                    true,
		`device.id == "dev_1" && device.identity == "certain"`:                true,
		`device.platform == "web" && session.secure`:                          true,
		`device.platform == "ios" || !session.secure`:                         false,
		`session.resource.matches("^web-[0-9]+$")`:                            true,
		`session.ip.startsWith("192.0.2.") && session.client != ""`:           true,
		`now >= timestamp("2026-11-23T08:00:00Z")`:                            true,
		`now.getDayOfWeek() in [0, 6]`:                                        false,
		`now.getHours("Asia/Tokyo") == 17`:                                    true,
		`["a", "web-1"].exists(r, r == session.resource)`:                     true,
	} {
		c, err := Compile(text)
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if got, err := c.holds(&f, eight); got != want || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
	// What is not known.
	for _, text := range []string{`account.group == "" && device.id == "" && session.ip == ""`, `device.platform == "unknown" && device.identity == "unknown"`, `!session.secure`} {
		if got, err := conditions.Get(text).holds(&Facts{}, eight); !got || err != nil {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestAConditionSeesBoundedTextOnly(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ condition, client string }{
		{`size(session.client) == 256`, strings.Repeat("語", 1000)},
		{`size(session.client) == 85`, strings.Repeat("語", 85)},
		{`session.client == "a\ufffdb"`, "a\xffb"},
	} {
		if got, err := conditions.Get(tt.condition).holds(&Facts{Newcomer: Newcomer{Client: tt.client}}, eight); !got || err != nil {
			t.Errorf("%s: %v, %v", tt.condition, got, err)
		}
	}
}

func TestAnErrorOfAConditionIsSaid(t *testing.T) {
	t.Parallel()
	text := `int(session.resource) > 3`
	f := facts(t, `{"condition":"`+text+`"}`, "phone ios")
	for _, c := range []*Condition{nil, conditions.Get(text)} {
		f.Condition = c
		d := Decide(f, eight)
		if d.Code != CodeCondition || !strings.Contains(strings.Join(d.Explanation, "\n"), "could not be evaluated, which counts as false (condition, set for the account): type conversion error") {
			t.Errorf("%+v", d)
		}
	}
	// One that was kept by another version and does not compile here.
	bad := "nonsense"
	f.Rule.Condition = &bad
	for _, c := range []*Condition{nil, conditions.Get(bad)} {
		f.Condition = c
		if d := Decide(f, eight); d.Code != CodeCondition || !strings.Contains(strings.Join(d.Explanation, "\n"), "undeclared reference to 'nonsense'") {
			t.Errorf("%+v", d)
		}
	}
}

func TestAConditionIsToldOf(t *testing.T) {
	t.Parallel()
	f := facts(t, `{"condition":"session.secure"}`, "phone ios")
	if d := Decide(f, eight); !strings.Contains(strings.Join(d.Explanation, "\n"), "The condition does not hold (condition, set for the account).") {
		t.Errorf("%q", d.Explanation)
	}
	f.Newcomer.Secure = true
	if d := Decide(f, eight); !strings.Contains(strings.Join(d.Explanation, "\n"), "The condition holds (condition, set for the account).") {
		t.Errorf("%q", d.Explanation)
	}
}

func TestConditionsAreKeptAndBounded(t *testing.T) {
	t.Parallel()
	var cs Conditions
	for _, text := range []string{"session.secure", "nonsense"} {
		if first, again := cs.Get(text), cs.Get(text); first != again {
			t.Errorf("%s: compiled twice", text)
		}
	}
	var group sync.WaitGroup
	for n := range 4 {
		group.Go(func() {
			for i := range maxConditions {
				cs.Get(fmt.Sprintf("%d == %d", i, n))
			}
		})
	}
	group.Wait()
	if len(cs.kept) > maxConditions {
		t.Errorf("%d are kept", len(cs.kept))
	}
}

// Whatever compiles runs within its bounds, on the longest texts.
func FuzzCondition(f *testing.F) {
	for _, seed := range []string{
		`device.platform == "web" && session.secure`, `session.resource.matches("(a*)*$")`, `[1,2,3].all(x, session.client.contains("b"))`, `now.getHours("Mars/Phobos") > 1`,
		`account.jid + account.jid + account.jid == ""`, `int(session.resource) / 0 > 1`, `{"a":[1]}["a"][9] == 1`, `"` + "\x00" + `" == account.group`, `string(now).endsWith("Z")`, `matches(account.jid, r'\d{1,9}')`,
	} {
		f.Add(seed)
	}
	long := Facts{
		Account: strings.Repeat("a", 1023) + "@" + strings.Repeat("b", 1023), Group: strings.Repeat("g", 300),
		Newcomer: Newcomer{Resource: strings.Repeat("a", 1023), Client: strings.Repeat("語\xff", 1000), IP: "::1", Platform: "web"},
	}
	f.Fuzz(func(t *testing.T, text string) {
		c, err := Compile(text)
		if err != nil {
			if c != nil || strings.ContainsAny(err.Error(), "\n\x00") {
				t.Fatalf("%q: %q", text, err)
			}
			return
		}
		begin := time.Now()
		yes, err := c.holds(&long, eight)
		if yes && err != nil || err != nil && strings.Contains(err.Error(), "\n") {
			t.Fatalf("%q: %v, %q", text, yes, err)
		}
		if d := time.Since(begin); d > time.Second {
			t.Fatalf("%q took %v", text, d)
		}
	})
}
