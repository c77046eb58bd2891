package api_test

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/bindgate/bindgate/api"
	"github.com/bindgate/bindgate/store"
)

const adasDevices = "/v1/accounts/ada@example.org/devices"

type device struct {
	ID, Account, Platform, Identity, Client string
	Name, Resource                          *string
	UserAgentID                             *string `json:"user_agent_id"`
	Registered, Blocked                     bool
	FirstSeenAt                             *string  `json:"first_seen_at"`
	LastSeenAt                              *string  `json:"last_seen_at"`
	SessionIDs                              []string `json:"session_ids"`
}

func (d device) short() string {
	text := func(s *string) string {
		if s == nil {
			return "-"
		}
		return *s
	}
	return fmt.Sprintf("%s %s %s %s %s registered=%t blocked=%t", text(d.Name), d.Platform, d.Identity, text(d.Resource), text(d.UserAgentID), d.Registered, d.Blocked)
}

type devices struct {
	Items []device
	Next  *string `json:"next_cursor"`
}

// meet puts a device on record as a login does.
func (s *service) meet(account, resource string) string {
	s.t.Helper()
	id := store.DeviceOf("resource", resource)
	s.exec(`insert into devices (account, id, identity, resource, client, first_seen_at, last_seen_at) values ($1, $2, 'probable', $3, 'Gajim', now() - interval '2 days', now() - interval '1 day')`,
		store.KeyOf(account), id, resource)
	return store.DeviceID(store.KeyOf(account), id)
}

func TestDeviceIsRegisteredAndChanged(t *testing.T) {
	t.Parallel()
	s := newService(t)
	var d device
	at := s.do("POST", adasDevices, `{"name":"Ada’s Telefon 📱","platform":"android","resource":"pho`+"\u00ad"+`ne"}`).ok(201, &d).header.Get("Location") // resourceprep drops the soft hyphen
	if at != adasDevices+"/"+d.ID {
		t.Errorf("the device is at %q", at)
	}
	s.get(at).ok(200, &d)
	if d.short() != "Ada’s Telefon 📱 android certain phone - registered=true blocked=false" || d.FirstSeenAt != nil || d.LastSeenAt != nil || len(d.SessionIDs) != 0 || d.Account != "ada@example.org" {
		t.Errorf("%+v", d)
	}
	first := s.revision("ada@example.org")
	for _, c := range []struct {
		method, path, body string
		status             int
		want               string
		grows              bool
	}{
		{"POST", "", `{"resource":"phone"}`, 200, "Ada’s Telefon 📱 android certain phone - registered=true blocked=false", false},
		{"POST", "", `{"resource":"phone","name":"Phone"}`, 200, "Phone android certain phone - registered=true blocked=false", true},
		{"PATCH", "/" + d.ID, `{"blocked":true}`, 200, "Phone android certain phone - registered=true blocked=true", true},
		{"PATCH", "/" + d.ID, `{"blocked":true}`, 200, "Phone android certain phone - registered=true blocked=true", false},
		{"POST", "", `{"resource":"phone","platform":"fridge"}`, 200, "Phone fridge certain phone - registered=true blocked=true", true},
		{"PATCH", "/" + d.ID, `{"name":null,"platform":null,"blocked":false}`, 200, "- unknown certain phone - registered=true blocked=false", true},
		{"POST", "", `{"user_agent_id":"d4565fa7-4d72-4749-b3d3-740edbf87770"}`, 201, "- unknown certain - d4565fa7-4d72-4749-b3d3-740edbf87770 registered=true blocked=false", true},
	} {
		var got device
		s.do(c.method, adasDevices+c.path, c.body).ok(c.status, &got)
		now := s.revision("ada@example.org")
		if got.short() != c.want || (now > first) != c.grows {
			t.Errorf("%s %s: %s, revision %d after %d", c.method, c.body, got.short(), now, first)
		}
		first = now
	}
	s.do("DELETE", adasDevices+"/"+d.ID, "").ok(204, nil)
	if now := s.revision("ada@example.org"); now <= first {
		t.Errorf("revision %d after %d", now, first)
	}
	s.do("DELETE", adasDevices+"/"+d.ID, "").fails(404, "not_found", "-")
	s.do("PATCH", adasDevices+"/"+d.ID, `{"blocked":true}`).fails(404, "not_found", "-")
	var list devices
	if s.get(adasDevices).ok(200, &list); len(list.Items) != 1 || list.Items[0].UserAgentID == nil {
		t.Errorf("%+v", list)
	}
}

// A device that a login made known keeps its history when it is registered, and its live session becomes certain.
func TestKnownDeviceIsRegistered(t *testing.T) {
	t.Parallel()
	s := newService(t)
	id := s.meet("ada@example.org", "phone")
	ses := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1}, seeded{account: "ada@example.org", resource: "tablet", generation: 2})
	var before, d device
	var list devices
	s.get(adasDevices).ok(200, &list)
	if before = list.Items[0]; before.short() != "- desktop probable phone - registered=false blocked=false" || before.ID != id || before.FirstSeenAt == nil || before.Client != "Gajim" {
		t.Errorf("%+v", before)
	}
	s.do("POST", adasDevices, `{"resource":"phone","platform":"ios"}`).ok(200, &d)
	if d.short() != "- ios certain phone - registered=true blocked=false" || d.ID != id || *d.FirstSeenAt != *before.FirstSeenAt || !slices.Equal(d.SessionIDs, ses[:1]) {
		t.Errorf("%+v", d)
	}
	var live session
	if s.get("/v1/sessions/"+ses[0]).ok(200, &live); live.DeviceID == nil || *live.DeviceID != id || live.Identity != "certain" {
		t.Errorf("%+v", live)
	}
	if s.get("/v1/sessions/"+ses[1]).ok(200, &live); live.DeviceID != nil {
		t.Errorf("%+v", live)
	}
}

func TestDevicesAreListedPageByPage(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.get(adasDevices).fails(404, "not_found", "-")
	s.seed(seeded{account: "ada@example.org", resource: "x", generation: 1}, seeded{account: "bob@example.org", resource: "x", generation: 1})
	want := []string{s.meet("bob@example.org", "his")}[:0]
	for i := range 7 {
		want = append(want, s.meet("ada@example.org", fmt.Sprintf("r%d", i)))
	}
	var seen []string
	cursor := ""
	for {
		var list devices
		s.get(adasDevices+"?limit=3&cursor="+url.QueryEscape(cursor)).ok(200, &list)
		for _, d := range list.Items {
			seen = append(seen, d.ID)
		}
		if list.Next == nil {
			break
		}
		cursor = *list.Next
	}
	slices.Sort(seen)
	slices.Sort(want)
	if d := cmp.Diff(want, seen); d != "" {
		t.Error(d)
	}
	s.get("/v1/accounts/bob@example.org/devices?cursor="+cursor).fails(422, "invalid_field", "cursor")
	s.get(adasDevices+"?limit=501").fails(422, "invalid_field", "limit")
	s.get(adasDevices+"?q=x").fails(422, "unknown_field", "q")
}

func TestBlockEndsSessions(t *testing.T) {
	t.Parallel()
	s := newService(t)
	id := s.meet("ada@example.org", "phone")
	known := store.DeviceOf("resource", "phone")
	ses := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1, device: known}, seeded{account: "ada@example.org", resource: "tablet", generation: 2})
	// The link is down: it is on record, and done later.
	var d device
	s.do("PATCH", adasDevices+"/"+id, `{"blocked":true}`).ok(202, &d)
	if !d.Blocked || !slices.Equal(d.SessionIDs, ses[:1]) {
		t.Errorf("%+v", d)
	}
	var code, selector, by string
	if err := s.pool.QueryRow(t.Context(), `select s.evict_code, k.selector, k.requested_by from sessions s join kicks k on k.account = s.account and k.id = s.evict_kick`).Scan(&code, &selector, &by); err != nil {
		t.Fatal(err)
	}
	if code != "blocked" || !strings.Contains(selector, "devices") || by != "tester" {
		t.Errorf("%s %s %s", code, selector, by)
	}
	var live session
	if s.get("/v1/sessions/"+ses[1]).ok(200, &live); live.State != "active" {
		t.Errorf("the other one is %s", live.State)
	}
	s.linked()
	s.obey(1)
	s.do("PATCH", adasDevices+"/"+id, `{"blocked":true,"name":"stolen"}`).ok(200, nil)
	s.get(adasDevices+"/"+id).ok(200, &d)
	if len(d.SessionIDs) != 0 || *d.Name != "stolen" {
		t.Errorf("%+v", d)
	}
}

// Whoever may kick may block by a kick, and so let in again; but not name.
func TestWhoMayKickBlocksAndUnblocks(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "x", generation: 1})
	id := s.meet("ada@example.org", "phone")
	support := as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead, api.ScopeSessionsKick}}))
	viewer := as(mint(t, api.Claims{Scopes: []string{api.ScopeSessionsRead}}))
	for _, blocked := range []bool{true, false} {
		var d device
		if s.do("PATCH", adasDevices+"/"+id, fmt.Sprintf(`{"blocked":%t}`, blocked), support).ok(200, &d); d.Blocked != blocked {
			t.Errorf("blocked is %t", d.Blocked)
		}
	}
	for _, body := range []string{`{"name":"x"}`, `{"platform":"ios"}`, `{"blocked":true,"name":null}`} {
		s.do("PATCH", adasDevices+"/"+id, body, support).fails(403, "insufficient_scope", "-")
	}
	s.do("PATCH", adasDevices+"/"+id, `{"blocked":true}`, viewer).fails(403, "insufficient_scope", "-")
	s.do("DELETE", adasDevices+"/"+id, "", support).fails(403, "insufficient_scope", "-")
	s.do("POST", adasDevices, `{"resource":"y"}`, support).fails(403, "insufficient_scope", "-")
}

func TestKickBlocksDevices(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.linked()
	phone, tablet, idle := s.meet("ada@example.org", "phone"), s.meet("ada@example.org", "tablet"), s.meet("ada@example.org", "idle")
	of := func(r string) int64 { return store.DeviceOf("resource", r) }
	ses := s.seed(seeded{account: "ada@example.org", resource: "phone", generation: 1, device: of("phone")}, seeded{account: "ada@example.org", resource: "strange", generation: 2},
		seeded{account: "ada@example.org", resource: "tablet", generation: 3, device: of("tablet")})
	type report struct {
		Results []struct {
			SessionID string `json:"session_id"`
			Outcome   string
			Blocked   *bool `json:"device_blocked"`
		}
		Blocked []string `json:"blocked_device_ids"`
	}
	var got report
	s.obey(1, 2)
	s.do("POST", adasKick, `{"session_ids":["`+ses[0]+`","`+ses[1]+`"],"block_devices":true,"text":{"en":"Stolen."}}`).ok(200, &got)
	want := fmt.Sprintf(`{"Results":[{"session_id":%q,"Outcome":"kicked","device_blocked":true},{"session_id":%q,"Outcome":"kicked","device_blocked":false}],"blocked_device_ids":[%q]}`, ses[0], ses[1], phone)
	if b, _ := json.Marshal(got); string(b) != want {
		t.Errorf("%s, want %s", b, want)
	}
	got = report{}
	s.do("POST", adasKick, `{"device_ids":["`+idle+`"],"block_devices":true}`).ok(200, &got)
	if len(got.Results) != 0 || !slices.Equal(got.Blocked, []string{idle}) {
		t.Errorf("%+v", got)
	}
	got = report{}
	s.do("POST", adasKick, `{"device_ids":["`+idle+`"],"block_devices":false}`).ok(200, &got)
	if got.Blocked != nil {
		t.Errorf("%+v", got)
	}
	var list devices
	s.get(adasDevices).ok(200, &list)
	for _, d := range list.Items {
		if d.Blocked != (d.ID == phone || d.ID == idle) {
			t.Errorf("%s (tablet is %s)", d.short(), tablet)
		}
	}
}

func TestBadDevices(t *testing.T) {
	t.Parallel()
	s := newService(t)
	s.seed(seeded{account: "ada@example.org", resource: "x", generation: 1}, seeded{account: "bob@example.org", resource: "x", generation: 1})
	mine, his := s.meet("ada@example.org", "phone"), s.meet("bob@example.org", "phone")
	before := s.revision("ada@example.org")
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "invalid_field", ""},
		{`{"name":"x"}`, "invalid_field", ""},
		{`{"resource":"a","user_agent_id":"b"}`, "invalid_field", "/user_agent_id"},
		{`{"resource":""}`, "invalid_field", "/resource"},
		{`{"resource":null}`, "invalid_field", "/resource"},
		{`{"resource":7}`, "invalid_field", "/resource"},
		{`{"resource":"a\u0007b"}`, "invalid_field", "/resource"},
		{`{"resource":"` + strings.Repeat("x", 1024) + `"}`, "invalid_field", "/resource"},
		{`{"user_agent_id":"a b"}`, "invalid_field", "/user_agent_id"},
		{`{"user_agent_id":""}`, "invalid_field", "/user_agent_id"},
		{`{"user_agent_id":"` + strings.Repeat("é", 65) + `"}`, "invalid_field", "/user_agent_id"},
		{`{"resource":"a","name":""}`, "invalid_field", "/name"},
		{`{"resource":"a","name":7}`, "invalid_field", "/name"},
		{`{"resource":"a","name":" a"}`, "invalid_field", "/name"},
		{`{"resource":"a","name":"a\nb"}`, "invalid_field", "/name"},
		{`{"resource":"a","name":"a\u202eb"}`, "invalid_field", "/name"},
		{`{"resource":"a","name":"` + strings.Repeat("x", 101) + `"}`, "invalid_field", "/name"},
		{`{"resource":"a","platform":""}`, "invalid_field", "/platform"},
		{`{"resource":"a","platform":"` + strings.Repeat("x", 65) + `"}`, "invalid_field", "/platform"},
		{`{"resource":"a","blocked":true}`, "unknown_field", "/blocked"},
		{`[]`, "invalid_field", ""},
	} {
		s.do("POST", adasDevices, c.body).fails(422, c.code, c.field)
	}
	for _, c := range []struct{ body, code, field string }{
		{`{}`, "invalid_field", ""},
		{`{"blocked":"true"}`, "invalid_field", "/blocked"},
		{`{"blocked":null}`, "invalid_field", "/blocked"},
		{`{"blocked":1}`, "invalid_field", "/blocked"},
		{`{"registered":false}`, "unknown_field", "/registered"},
		{`{"resource":"x"}`, "unknown_field", "/resource"},
	} {
		s.do("PATCH", adasDevices+"/"+mine, c.body).fails(422, c.code, c.field)
	}
	for _, id := range []string{his, "dev_x", strings.ToUpper(mine), store.DeviceID(store.KeyOf("ada@example.org"), 99), store.SessionID(store.KeyOf("ada@example.org"), 1)} {
		s.do("PATCH", adasDevices+"/"+id, `{"blocked":true}`).fails(404, "not_found", "-")
		s.do("DELETE", adasDevices+"/"+id, "").fails(404, "not_found", "-")
		s.get(adasDevices+"/"+id).fails(404, "not_found", "-")
	}
	s.do("PATCH", "/v1/accounts/nobody@example.org/devices/"+store.DeviceID(store.KeyOf("nobody@example.org"), 7), `{"blocked":true}`).fails(404, "not_found", "-")
	s.do("POST", "/v1/accounts/ada/devices", `{"resource":"x"}`).fails(422, "invalid_jid", "jid")
	if now := s.revision("ada@example.org"); now != before {
		t.Errorf("revision %d, was %d", now, before)
	}
	elsewhere := mint(t, api.Claims{Subject: "x", Scopes: []string{api.ScopeAdmin}, Domains: []string{"example.com"}})
	s.get(adasDevices, as(elsewhere)).fails(404, "not_found", "-")
	s.do("POST", adasDevices, `{"resource":"x"}`, as(elsewhere)).fails(404, "not_found", "-")
	s.do("PATCH", adasDevices+"/"+mine, `{"blocked":true}`, as(elsewhere)).fails(404, "not_found", "-")
	s.do("DELETE", adasDevices+"/"+mine, "", as(elsewhere)).fails(404, "not_found", "-")
}
