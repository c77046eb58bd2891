package pages

import (
	"cmp"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/internal/xmppclient"
)

// scene is a stage on a lively day, with what the pages can be about.
type scene struct {
	*stage
	account string // with a history, devices, and an override
	session string // a live one
	known   string // a device of the account
	loop    client.Loop
	hook    string // a webhook that fails
	job     string // a kick of many accounts that goes on
}

// person is an account with its devices. Software says what a device is.
type person struct {
	jid     string
	devices []device
}

type device struct{ resource, software, os string }

var (
	phone  = device{"android-pixel-9", "Conversations 2.18", "Android 16"}
	tablet = device{"android-tab", "Cheogram 2.17", "Android 15"}
	iphone = device{"iphone-16", "Monal 6.4", "iOS 26"}
	laptop = device{"laptop", "Gajim 2.4", "Debian 13"}
	office = device{"windows-desk", "Dino 0.5", "Windows 11"}
	web    = device{"web-firefox", "Converse.js 12", "Firefox"}
	bot    = device{"bot-deploys", "slixmpp 1.10", "Linux"}
)

var people = []person{
	{"alice@example.org", []device{phone, laptop, web}},
	{"bob@example.org", []device{iphone, office}},
	{"carol@example.org", []device{tablet, web}},
	{"dave@example.org", []device{phone}},
	{"erin@example.org", []device{iphone, laptop}},
	{"frank@example.net", []device{office, web}},
	{"grace@example.net", []device{iphone}},
	{"heidi@example.net", []device{phone, office, web}},
	{"ivan@example.net", []device{laptop}},
	{"hanako@chat.example.com", []device{tablet, laptop}},
	{"wei@chat.example.com", []device{iphone, web}},
	{"judy@chat.example.com", []device{phone}},
	{"alerts@example.org", []device{bot, {"bot-backups", "slixmpp 1.10", "Linux"}}},
}

// play has the day happen.
func play(t testing.TB) *scene {
	t.Helper()
	s := &scene{stage: newStage(t, "example.org", "example.net", "chat.example.com"), account: "alice@example.org"}
	s.rules()
	for _, p := range people {
		for _, d := range p.devices {
			s.device(p.jid, d.resource, xmppclient.Options{Software: d.software, OS: d.os})
		}
	}
	s.device("mallory@example.net", `<img src=x onerror=alert(1)>`, xmppclient.Options{})
	s.device("trent@example.net", "phone", xmppclient.Options{})
	s.exec(`update sessions set client = 'Talk ' || chr(8238) || 'gnp.exe' where resource = 'phone'`) // Prosody takes no such resource
	s.takeovers()
	s.war()
	s.sleeper()
	s.register()
	s.webhooks()
	s.past()
	s.kicks()
	s.staff()
	s.settle()
	s.figures()
	return s
}

func (s *scene) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// rules are set at every level.
func (s *scene) rules() {
	ctx, o := s.t.Context(), client.RuleOptions{}
	_, err := s.api.PutDefaultRule(ctx, client.Rule{MaxPerPlatform: map[string]int{"mobile": 1, "desktop": 1, "web": 3}}, o)
	s.must(err)
	_, err = s.api.PutDomainRule(ctx, "example.net", client.Rule{MaxSessions: client.Set(3), OnExcess: client.DenyNewcomer}, o)
	s.must(err)
	s.device("grace@example.net", "setup", xmppclient.Options{}).Close()
	s.device("alerts@example.org", "setup", xmppclient.Options{}).Close()
	_, err = s.api.PutAccountGroup(ctx, "alerts@example.org", "bots")
	s.must(err)
	_, err = s.api.PutGroupRule(ctx, "bots", client.Rule{MaxSessions: client.Set(20), MaxPerPlatform: map[string]int{}}, o)
	s.must(err)
	_, err = s.api.PutAccountRule(ctx, s.account, client.Rule{MaxPerPlatform: map[string]int{"mobile": 2}}, time.Now().Add(36*time.Hour), o)
	s.must(err)
	_, err = s.api.PutAccountRule(ctx, "grace@example.net", client.Rule{MaxSessions: client.Set(1), OnExcess: client.DenyNewcomer}, time.Time{}, o)
	s.must(err)
}

// takeovers and denials that have just happened.
func (s *scene) takeovers() {
	s.device("dave@example.org", "android-new", xmppclient.Options{Software: "Quicksy 2.18", OS: "Android 16"})
	s.device("judy@chat.example.com", "iphone-16", xmppclient.Options{Software: "Monal 6.4", OS: "iOS 26"})
	s.device("bob@example.org", "macbook", xmppclient.Options{Software: "Beagle IM 5.3", OS: "macOS 26"})
	for range 3 {
		c, err := s.dial("grace@example.net", xmppclient.Options{})
		s.must(err)
		if _, err := c.Bind(s.ctx(), "web-chrome"); err == nil {
			s.t.Fatal("a login was let in that was to be denied")
		}
		c.Close()
	}
}

// war is two devices that displace each other where nothing protects the winner, until it is frozen.
func (s *scene) war() {
	_, err := s.api.PutAccountRule(s.t.Context(), "erin@example.org", client.Rule{MaxSessions: client.Set(1), TakeoverCooldown: client.Set(client.Seconds(0)), GhostAfter: client.Set(client.Seconds(1))}, time.Time{}, client.RuleOptions{})
	s.must(err)
	for _, resource := range []string{"iphone-16", "laptop", "iphone-16", "laptop", "iphone-16"} {
		c, err := s.dial("erin@example.org", xmppclient.Options{})
		s.must(err)
		_, err = c.Bind(s.ctx(), resource)
		if _, denied := refused(err); err != nil && !denied {
			s.t.Fatal(err)
		}
	}
}

// sleeper is a phone out of reach, whose session is kept.
func (s *scene) sleeper() {
	c := s.device("niaj@chat.example.com", "android-fairphone", xmppclient.Options{SM: true, Software: "Conversations 2.18", OS: "Android 15"})
	c.Cut()
}

func (s *scene) register() {
	ctx := s.t.Context()
	_, err := s.api.RegisterDevice(ctx, s.account, client.Registration{Name: client.Set("Work laptop"), Platform: client.Set("desktop"), Resource: "laptop"})
	s.must(err)
	list, err := client.Collect(s.api.ListDevices(ctx, "carol@example.org", client.ListOptions{}))
	s.must(err)
	for _, d := range list {
		if d.Resource == "android-tab" {
			_, err := s.api.ChangeDevice(ctx, "carol@example.org", d.ID, client.DeviceChange{Name: client.Set("Lost tablet")})
			s.must(err)
		}
	}
}

// webhooks: one that takes what it gets, one that fails, one that pauses, one that bindgate has disabled.
func (s *scene) webhooks() {
	var n atomic.Int64
	target := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/broken" {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprint(w, `{"error":"the queue is full"}`)
			return
		}
		n.Add(1)
		w.WriteHeader(http.StatusNoContent)
	}))
	s.t.Cleanup(target.Close)
	ctx := s.t.Context()
	_, err := s.api.CreateWebhook(ctx, client.NewWebhook{URL: target.URL + "/shop", Description: "The shop signs people out", Types: []client.EventType{client.EventTakeover, client.EventSessionEnded, client.EventSessionStarted}})
	s.must(err)
	broken, err := s.api.CreateWebhook(ctx, client.NewWebhook{URL: target.URL + "/broken", Description: "Fraud desk"})
	s.must(err)
	s.hook = broken.ID
	_, err = s.api.CreateWebhook(ctx, client.NewWebhook{URL: target.URL + "/old", Description: "Before the move", Domains: []string{"example.net"}, Enabled: client.Set(false)})
	s.must(err)
	gone, err := s.api.CreateWebhook(ctx, client.NewWebhook{URL: "https://retired.example.com/hook", Types: []client.EventType{client.EventLoopOpened}, Enabled: client.Set(false)})
	s.must(err)
	s.exec(`update webhooks set disabled_reason = 'the receiver answered 410 Gone' where url = $1`, gone.URL)
	for _, user := range []string{"oscar@example.org", "peggy@example.org"} {
		c := s.device(user, "web-safari", xmppclient.Options{Software: "Converse.js 12", OS: "Safari"})
		s.device(user, "laptop", xmppclient.Options{Software: "Dino 0.5", OS: "Fedora 43"})
		c.Close()
	}
	s.until("events were sent", func() string {
		list, err := client.Collect(s.api.ListDeliveries(ctx, broken.ID, client.DeliveryFilter{}))
		s.must(err)
		if n.Load() < 4 || !slices.ContainsFunc(list, func(d client.WebhookDelivery) bool { return d.LastAttempt != nil }) {
			return fmt.Sprintf("%d were taken, %d are listed for the other", n.Load(), len(list))
		}
		return ""
	})
}

// past is the day before now, as it would be on record.
func (s *scene) past() {
	// A day has its morning and its evening; hash makes the same numbers each time.
	s.exec(`insert into decisions (account, at, ask_id, resource, platform, generation, outcome, code, evicted, rule_level, explanation, condition, shadow, retry_after)
		select a.key, now() - make_interval(secs => n * 97 + abs(hashtext(a.jid || n)) % 90), '', r.resource, r.platform, null,
			case when h < 14 then 'deny' else 'allow' end,
			case when h < 5 then 'limit' when h < 9 then 'cooldown' when h < 11 then 'blocked' when h < 14 then 'grant_required' when h < 26 then 'takeover' when h < 40 then 'own_reconnect' else 'ok' end,
			'{}', 'default', array['The account has 1 session on mobile, the limit is 1.', case when h < 14 then 'The newcomer is denied.' else 'The newcomer is let in.' end], '', false, case when h between 5 and 8 then 23 end
		from generate_series(8, 600) n, lateral (select abs(hashtext('hour' || n)) % 100 as h) x,
			lateral (select key, jid from accounts order by hashtext(jid || n) limit 1) a,
			lateral (select * from (values ('android-pixel-9', 'android'), ('iphone-16', 'ios'), ('web-firefox', 'web'), ('laptop', 'desktop')) v(resource, platform) order by hashtext(resource || n) limit 1) r
		on conflict do nothing`)
	s.exec(`insert into session_history (account, ended_at, generation, sid, link, resource, identity, platform, ip, secure, transport, client, started_at, last_seen_at, end_reason)
		select a.key, now() - make_interval(secs => n * 331), -n, 'past' || n, $1, r.resource, 'probable', r.platform, '198.51.100.' || n % 200, true, 'tcp', r.client, now() - make_interval(secs => n * 331 + 4000), now() - make_interval(secs => n * 331),
			(array['logout', 'takeover', 'logout', 'kick', 'lost', 'logout', 'rule'])[1 + n % 7]
		from generate_series(1, 240) n, lateral (select key, jid from accounts order by hashtext(jid || n) limit 1) a,
			lateral (select * from (values ('android-pixel-9', 'android', 'Conversations 2.18'), ('iphone-16', 'ios', 'Monal 6.4'), ('web-firefox', 'web', 'Converse.js 12'), ('laptop', 'desktop', 'Gajim 2.4')) v(resource, platform, client)
				order by hashtext(resource || n) limit 1) r`, s.server.ComponentJID())
}

// spare is a second link, to a server that is away; what is asked of its sessions stays pending.
const spare = `{"up": false, "last_error": "dial tcp 192.0.2.20:5347: connect: connection refused", "domains": [
	{"domain": "im.example.jp", "server": "ejabberd", "server_version": "24.12", "module": "0.1.0", "protocol": "1", "mode": "enforce", "on_failure": "deny", "sessions": 6,
		"abilities": ["ask", "kick", "snapshot", "mode", "language"], "missing": ["probe", "hold", "ended", "revoke"]}]}`

// kicks: one that is proven, some that are pending because their server is away, one whose session is still there, a bulk kick that goes on, one that is done.
func (s *scene) kicks() {
	ctx := s.t.Context()
	c := s.device("sybil@example.net", "web-edge", xmppclient.Options{Software: "Converse.js 12", OS: "Edge"})
	_, err := s.api.Kick(ctx, "sybil@example.net", client.KickRequest{All: true, Reason: "reported for spam"})
	s.must(err)
	s.sentAway(c)
	s.exec(`insert into links (name, driver, component, owner, owner_name, expires_at, state) values ('tokyo', 'gate', 'bindgate.im.example.jp', gen_random_uuid(), 'host-2/17', now() + interval '1 day',
		jsonb_set(jsonb_set(jsonb_set($1::jsonb, '{since}', to_jsonb(now() - interval '7 min')), '{domains,0,last_hello_at}', to_jsonb(now() - interval '3 h')), '{domains,0,last_snapshot_at}', to_jsonb(now() - interval '8 min')))`, spare)
	for i, name := range []string{"sakura", "haruto", "yui", "ren", "aoi", "sora"} {
		s.exec(`insert into accounts (key, jid, domain, generation, revision) values (substr(encode(sha256(convert_to($1, 'UTF8')), 'hex'), 1, 32)::uuid, $1, 'im.example.jp', 1, 1)`, name+"@im.example.jp")
		s.exec(`insert into sessions (account, sid, generation, link, resource, state, identity, platform, ip, secure, transport, client_id, client, lang, ask_id, decided_at, started_at, last_seen_at)
			select key, $2, 1, 'tokyo', $3, 'active', 'probable', $4, '203.0.113.' || $5::int, true, 'tcp', '', $6, 'ja', '', now(), now() - make_interval(hours => $5), now() from accounts where jid = $1`,
			name+"@im.example.jp", "T"+name, []string{"android-xperia", "iphone-15", "web-chrome"}[i%3], []string{"android", "ios", "web"}[i%3], i+4, []string{"Conversations 2.18", "Monal 6.4", "Converse.js 12"}[i%3])
	}
	done, err := s.api.KickMany(ctx, client.BulkKickRequest{Filter: client.KickFilter{Resource: "web-edge"}, Reason: "Edge build recalled"})
	s.must(err)
	_, err = s.api.WaitBulkKick(ctx, done.ID, nil)
	s.must(err)
	job, err := s.api.KickMany(ctx, client.BulkKickRequest{Filter: client.KickFilter{Domain: "im.example.jp", Platform: "mobile"}, Reason: "certificate renewed", Text: map[string]string{"ja": "再接続してください。"}})
	s.must(err)
	s.job = job.ID
	s.until("the kick is counted", func() string {
		j, err := s.api.GetBulkKick(ctx, job.ID)
		s.must(err)
		if j.Total == nil {
			return "it is not"
		}
		return ""
	})
	// What its owner would have done of it before the link was lost: of three accounts one is proven gone, one is pending, one is still there.
	s.exec(`update job_parts set done = 3 where link = 'tokyo' and total > 3`)
	s.exec(`insert into kicks (account, id, requested_at, requested_by, selector, reason, sids) select s.account, -(select max(id) from jobs where state = 'running'), now(), 'backend', '{}', '', array[s.sid]
		from sessions s where s.sid in ('Tsakura', 'Tharuto', 'Taoi')`)
	s.exec(`update sessions set evict_code = 'kick', evict_kick = -(select max(id) from jobs where state = 'running'), evict_at = now() - interval '6 min', evict_next = now() + interval '1 day', evict_attempts = 4,
		still_present = sid = 'Tsakura' where sid in ('Tsakura', 'Tharuto')`)
	s.exec(`delete from sessions where sid = 'Taoi'`)
}

// staff are who uses the dashboard.
func (s *scene) staff() {
	s.user("support")
	s.command("user", "add", "night-shift", "--role", "support", "--domains", "example.org,example.net")
	s.command("user", "add", "former", "--role", "viewer")
	s.command("user", "disable", "former")
}

// figures are how often what happened, by minutes for a day, by quarters of an hour for a week and by hours for a month: more in the evening than at night. What the process counts itself is
// added to them.
func (s *scene) figures() {
	for seconds, steps := range map[int]int{60: 26 * 60, 900: 8 * 96, 3600: 30 * 24} {
		s.exec(`insert into tallies (domain, seconds, at, counts, sample)
			select '', $1::int, at, jsonb_build_object('login/ok', n, 'login/own_reconnect', n / 4, 'login/takeover', n / 7 + case when extract(minute from at) between 20 and 24 then n / 2 else 0 end, 'denial/limit', n / 12,
					'denial/cooldown', n / 9, 'denial/frozen', case when extract(minute from at) between 21 and 26 then 3 * $1::int / 60 else 0 end, 'denial/blocked', n / 40, 'eviction/takeover', n / 7, 'eviction/kick', n / 30,
					'eviction/rule', n / 45, 'end/logout', n, 'took/1', n / 10, 'took/2', n / (3 + m % 3), 'took/3', n / 2, 'took/5', n / (5 + m % 4), 'took/8', n / 30),
				jsonb_build_object('online', 12 + m / 5, 'several', 4 + m / 10, 'states', jsonb_build_object('active', 20 + m / 3, 'hibernating', 2 + m / 20),
					'platforms', jsonb_build_object('android', 6 + m / 9, 'ios', 4 + m / 10, 'web', 5 + m / 8, 'desktop', 6 + m / 14, 'bot', 2))
			from generate_series(0, $2) step, lateral (select to_timestamp(floor(extract(epoch from now()) / $1::int) * $1::int - step * $1::int) as at) t,
				lateral (select (24 + 16 * sin((extract(epoch from at) / 3600 - 10) / 24 * 2 * pi()) + abs(hashtext('tally' || step)) % 7)::int as m) a_minute,
				lateral (select (m * $1::int / 60 * case when step = 0 then extract(epoch from now() - at) / $1::int else 1 end)::int as n) so_far
			on conflict (domain, seconds, at) do update set counts = excluded.counts, sample = excluded.sample`, seconds, steps)
	}
}

// settle dresses the sessions, which all come from this machine by clients that nobody asked, and waits until the figures know of everything.
func (s *scene) settle() {
	for _, p := range people {
		for _, d := range p.devices {
			s.exec(`update sessions set client = $1 where resource = $2`, d.software+", "+d.os, d.resource)
		}
	}
	s.exec(`update sessions set secure = true, ip = (array['198.51.100.', '203.0.113.', '2001:db8::'])[1 + abs(hashtext(sid)) % 3] || abs(hashtext(sid)) % 250, started_at = started_at - make_interval(mins => abs(hashtext(sid)) % 900)
		where link <> 'tokyo' and resource not like '<%'`)
	sessions, err := client.Collect(s.api.ListSessions(s.t.Context(), client.SessionFilter{Account: s.account}))
	s.must(err)
	s.session = sessions[0].ID
	for _, session := range sessions {
		s.known = cmp.Or(s.known, session.DeviceID)
	}
	loops, err := client.Collect(s.api.ListLoops(s.t.Context(), client.LoopFilter{}))
	s.must(err)
	s.loop = loops[0]
	began := time.Now()
	s.until("it is counted", func() string {
		stats, err := s.api.GetStats(s.t.Context())
		s.must(err)
		if stats.CountedAt.Before(began) {
			return "the last census was at " + stats.CountedAt.String()
		}
		return ""
	})
}
