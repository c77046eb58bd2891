package client_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/bindgate/bindgate/client"
)

func TestRuleFields(t *testing.T) {
	t.Parallel()
	for want, r := range map[string]client.Rule{
		`{}`:                                   {},
		`{"max_sessions":null}`:                {MaxSessions: client.Null[int]()},
		`{"max_sessions":1}`:                   {MaxSessions: client.Set(1)},
		`{"takeover_cooldown_seconds":0}`:      {TakeoverCooldown: client.Set(client.Seconds(0))},
		`{"exclusive":[],"enforce":false}`:     {Exclusive: [][]string{}, Enforce: client.Set(false)},
		`{"exempt":[{"cidr":"192.0.2.0/24"}]}`: {Exempt: []client.Matcher{{CIDR: "192.0.2.0/24"}}},
	} {
		b, err := json.Marshal(r)
		if err != nil || string(b) != want {
			t.Errorf("%s, %v; want %s", b, err, want)
		}
		var back client.Rule
		if err := json.Unmarshal([]byte(want), &back); err != nil {
			t.Error(err)
		}
		if again, _ := json.Marshal(back); string(again) != want {
			t.Errorf("%s has become %s", want, again)
		}
	}
}

// What a newer server has is not lost when a rule is read, changed and put back.
func TestUnknownFieldsAreKept(t *testing.T) {
	t.Parallel()
	const sent = `{"enforce":true,"exempt":[{"account":"a","network":"home","trust_client_claims":false}],"on_excess":"evict_newest","quota":{"a":[1.0]}}`
	var r client.Rule
	if err := json.Unmarshal([]byte(sent), &r); err != nil {
		t.Fatal(err)
	}
	if r.OnExcess != "evict_newest" || r.Exempt[0].Account != "a" {
		t.Errorf("%+v", r)
	}
	r.Enforce, r.Exempt[0].TrustClientClaims = client.Set(false), true
	b, err := json.Marshal(r)
	if want := `{"enforce":false,"exempt":[{"account":"a","network":"home","trust_client_claims":true}],"on_excess":"evict_newest","quota":{"a":[1.0]}}`; err != nil || string(b) != want {
		t.Errorf("%s, %v; want %s", b, err, want)
	}

	var p client.Platforms
	const platforms = `{"groups":{},"matchers":[{"network":"x","platform":"ios"}],"new":1}`
	if err := json.Unmarshal([]byte(`{"groups":{},"matchers":[{"network":"x","platform":"ios"}],"new":1,"warnings":["w"]}`), &p); err != nil || len(p.Warnings) != 1 {
		t.Fatalf("%+v, %v", p, err)
	}
	if b, err := json.Marshal(p); err != nil || string(b) != platforms {
		t.Errorf("%s, %v; want %s", b, err, platforms)
	}
}

func TestOptional(t *testing.T) {
	t.Parallel()
	var left client.Optional[string]
	if _, ok := left.Get(); ok || !left.IsZero() || left.IsNull() || left.Or("x") != "x" {
		t.Errorf("left out: %+v", left)
	}
	if n := client.Null[string](); n.IsZero() || !n.IsNull() || n.Or("x") != "x" {
		t.Errorf("null: %+v", n)
	}
	if v, ok := client.Set("").Get(); !ok || v != "" || client.Set("").Or("x") != "" {
		t.Errorf("set: %q, %t", v, ok)
	}
}

func TestSecretsAreNotPrinted(t *testing.T) {
	t.Parallel()
	g := client.Grant{ID: "gra_1", Token: "grt_hush"}
	if s := fmt.Sprintf("%v %+v %#v %s %v", g, &g, g, g.Token, slog.AnyValue(g.Token).Resolve()); strings.Contains(s, "hush") || string(g.Token) != "grt_hush" {
		t.Error(s)
	}
	if b, err := json.Marshal(g); err != nil || !strings.Contains(string(b), "grt_hush") {
		t.Errorf("%s, %v: want the token in what the client is given", b, err)
	}
}

func TestSeconds(t *testing.T) {
	t.Parallel()
	for d, want := range map[time.Duration]client.Seconds{0: 0, time.Nanosecond: 1, time.Second: 1, 1500 * time.Millisecond: 2, time.Hour: 3600} {
		if got := client.SecondsOf(d); got != want {
			t.Errorf("SecondsOf(%s) is %d, want %d", d, got, want)
		}
	}
	if d := client.Seconds(90).Duration(); d != 90*time.Second {
		t.Error(d)
	}
}
