package gate_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/bindgate/bindgate/gate"
	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// What an operator says of platforms holds at the next login, through the group that a rule names.
func TestPlatformsAreData(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_per_platform":{"public":1}}`)
	b.login("ann", "s1", "kiosk-1")
	if _, err := b.store.PutPlatforms(t.Context(), rules.Platforms{
		Matchers: rules.Matchers{{Platform: "kiosk", Resource: "kiosk-*"}, {Platform: "tv", CIDR: "192.0.2.0/24"}}, Groups: map[string][]string{"public": {"kiosk", "tv"}},
	}, store.Actor{}, func(*store.KeptRule) error { return nil }); err != nil {
		t.Fatal(err)
	}
	b.login("ann", "s2", "kiosk-2") // s1 keeps the platform that it was given
	b.eventually("ann", "s1=active s2=active")
	a := b.send(gate.Ask{User: "ann", SID: "s3", Resource: "x", ID: "ask-s3", Chosen: true, More: true, Peer: gate.Peer{IP: "192.0.2.7"}})
	if a.Outcome != gate.Allow || len(a.Kicks) != 1 || a.Kicks[0].SID != "s2" {
		t.Errorf("%+v", a)
	}
}

// An exempt device is one that the backend registered, whoever is the newcomer.
func TestExempt(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	key := store.KeyOf("ann@" + theDomain)
	device := store.DeviceOf("resource", "till")
	b.rule(`{"max_sessions":1,"exempt":[{"device_id":"` + store.DeviceID(key, device) + `"},{"cidr":"192.0.2.0/24"}]}`)
	if _, err := b.store.Pool().Exec(t.Context(), `insert into devices (account, id, identity, resource, registered, first_seen_at, last_seen_at) values ($1, $2, 'certain', 'till', true, now(), now())`,
		key, device); err != nil {
		t.Fatal(err)
	}
	b.login("ann", "s1", "phone")
	b.login("ann", "s2", "till")
	b.eventually("ann", "s1=active s2=active")
	if a := b.send(gate.Ask{User: "ann", SID: "s3", Resource: "monitor", ID: "ask-s3", Chosen: true, More: true, Peer: gate.Peer{IP: "192.0.2.7"}}); len(a.Kicks) != 0 {
		t.Errorf("an exempt address: %+v", a)
	}
	if a := b.send(gate.Ask{User: "ann", SID: "s4", Resource: "tablet", ID: "ask-s4", Chosen: true, More: true}); len(a.Kicks) != 1 || a.Kicks[0].SID != "s1" {
		t.Errorf("who is not exempt: %+v", a)
	}
}

func TestCondition(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"condition":"session.secure && account.domain == 'example.org' && device.id != ''"}`)
	for _, secure := range []bool{true, false} {
		a := b.send(gate.Ask{User: "ann", SID: fmt.Sprint(secure), Resource: "phone", ID: fmt.Sprint(secure), Chosen: true, More: true, Peer: gate.Peer{Secure: secure, ClientID: "7f"}})
		switch {
		case secure && a.Outcome != gate.Allow:
			t.Errorf("over TLS: %+v", a)
		case !secure && (a.Outcome != gate.Deny || a.Denial.Code != "condition" || a.Denial.Condition != "resource-constraint" || a.Denial.Type != "wait" || a.Denial.Text == ""):
			t.Errorf("without: %+v", a)
		}
	}
}

// Each account is judged by its own levels, also where one transaction has accounts of several domains and groups.
func TestLevels(t *testing.T) {
	t.Parallel()
	b := newBench(t)
	b.rule(`{"max_sessions":1}`)
	for scope, fields := range map[store.RuleScope]rules.Rule{
		{Level: rules.LevelDomain, Subject: theDomain}: {MaxSessions: rules.Of(ptr(2))},
		{Level: rules.LevelGroup, Subject: "staff"}:    {MaxSessions: rules.Of(ptr(3)), Condition: rules.Of(ptr("account.group == 'staff'"))},
	} {
		if _, _, _, err := b.store.PutRule(t.Context(), store.RuleChange{RuleScope: scope, Check: func(*store.KeptRule) error { return nil }}, fields, time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := b.store.SetGroups(t.Context(), []store.Membership{{JID: "ann@" + theDomain, Group: "staff"}}, store.Actor{}); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ann", "bob"} {
		for _, r := range []string{"1", "2", "3"} {
			b.login(user, user+r, "r"+r)
		}
	}
	b.eventually("ann", "ann1=active ann2=active ann3=active")
	b.eventually("bob", "bob1=evicting:takeover bob2=active bob3=active")
	var level string
	if err := b.store.Pool().QueryRow(t.Context(), `select rule_level from decisions where code = 'takeover'`).Scan(&level); err != nil || level != "domain" {
		t.Errorf("%s, %v", level, err)
	}
}

func ptr[T any](v T) *T { return &v }
