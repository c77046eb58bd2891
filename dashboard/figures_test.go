package dashboard_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/bindgate/bindgate/dashboard"
	"github.com/bindgate/bindgate/store"
)

// decide puts a decision on record.
func (k *kit) decide(account, resource, outcome, code string, ago int, evicted ...int64) {
	k.t.Helper()
	k.exec(`insert into decisions (account, at, ask_id, resource, platform, generation, outcome, code, evicted, rule_level, rule_field, explanation, condition, shadow)
		values ($1, clock_timestamp() - make_interval(secs => $2), '', $3, 'android', 1, $4, $5, $6, 'domain', 'max_sessions', $7, '', false)`,
		store.KeyOf(account), ago, resource, outcome, code, append([]int64{}, evicted...), []string{"max_sessions is 1: the oldest session goes", "it was admitted as " + resource})
}

// loop opens one: the session of the generation stays, a device with an id or only a resource is kept out.
func (k *kit) loop(account string, winner int64, device *int64, resource string) {
	k.t.Helper()
	k.exec(`insert into loops (account, party, winner, device, resource, opened_at, until) values ($1, $2, $3, $4, $5, now() - interval '1 minute', now() + interval '4 minutes')`,
		store.KeyOf(account), winner+100, winner, device, resource)
}

// counted waits for a census that begins now or later.
func (k *kit) counted() {
	k.t.Helper()
	var now time.Time
	if err := k.pool.QueryRow(k.t.Context(), "select clock_timestamp()").Scan(&now); err != nil {
		k.t.Fatal(err)
	}
	eventually(k.t, "a census", func() bool {
		var counted bool
		if err := k.pool.QueryRow(k.t.Context(), "select coalesce(counted_at >= $1, false) from census", now).Scan(&counted); err != nil {
			k.t.Fatal(err)
		}
		return counted
	})
}

func TestOverview(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	d := k.as(dashboard.Viewer).get("/dashboard/overview").ok(http.StatusOK)
	d.says("Four steps to the first login", "bindgate doctor", "No XMPP server is linked")
	k.seed(session{account: "ada@one.example", resource: "phone", generation: 1}, session{account: "ada@one.example", resource: "tablet", generation: 2, platform: "ios"},
		session{account: "bob@two.example", resource: "web", generation: 1, platform: "web", evicting: true})
	k.exec(`update sessions set evict_kick = 1, still_present = true where evict_code is not null`)
	k.exec(`insert into links (name, owner, owner_name, expires_at, component, driver, state) values ('<b>main', gen_random_uuid(), 'here', now() + interval '1 hour', 'bindgate.one.example', 'gate', $1)`,
		`{"up":true,"domains":[{"domain":"one.example","server":"<i>Prosody","server_version":"13.0.2","mode":"observe","abilities":["ask"],"missing":["kick","probe"],"problem":"<script>x</script>"}]}`)
	k.exec(`insert into tallies (domain, seconds, at, counts) select d, 60, date_trunc('minute', now()) - interval '5 minutes', '{"login/ok":120,"denial/limit":7,"took/3":120}' from unnest(array['','one.example']) d
		on conflict (domain, seconds, at) do update set counts = excluded.counts`)
	k.exec(`insert into tallies (domain, seconds, at, counts) select '', s, date_bin(make_interval(secs => s), now(), '2000-01-01') - make_interval(secs => 7 * s), '{"login/ok":1}' from unnest(array[900, 3600]) s`) // before the step that has begun
	k.counted()
	d = k.as(dashboard.Viewer).get("/dashboard/overview").ok(http.StatusOK)
	d.says("Sessions 3", "1 still present", "<b>main", "<i>Prosody 13.0.2", "<script>x</script>", "2 missing", "observed only", "limit").lacks("Four steps")
	if strings.Count(d.body, `<path class="chart-`) < 5 {
		t.Errorf("there are %d curves", strings.Count(d.body, `<path class="chart-`))
	}
	var rows []string
	for _, tr := range d.all("tr") {
		rows = append(rows, text(tr))
	}
	if all := strings.Join(rows, "\n"); !strings.Contains(all, "UTC 120 0 7 0") {
		t.Errorf("no row of a table has the counted minute:\n%s", all)
	}
	d.says("Denied logins 0 in the last minute")
	for span, steps := range map[string]int{"1h": 60, "24h": 96, "7d": 168, "30d": 120, "nonsense": 60} {
		d := k.as(dashboard.Viewer).get("/dashboard/overview?range=" + span).ok(http.StatusOK)
		if told := strings.Contains(text(d.root), "“ range ” can not be “ nonsense ” here"); told != (span == "nonsense") {
			t.Errorf("%s: it is told of: %v", span, told)
		}
		if got := len(all(d.all("tbody")[1], "tr")); got < steps || got > steps+1 {
			t.Errorf("%s has %d steps, want %d", span, got, steps)
		}
	}
	limited := k.as(dashboard.Viewer, "two.example").get("/dashboard/overview").ok(http.StatusOK)
	limited.says("Sessions 1", "No XMPP server is linked").lacks("Prosody", "limit", "120")
}

// Curves end with the last minute that is over and whose figures are all on record: they do not fall at their end.
func TestChartsEndWithAWholeMinute(t *testing.T) {
	t.Parallel()
	minute := time.Now().UTC().Truncate(time.Minute)
	var after atomic.Int64 // the minute's beginning
	k := newKitWith(t, func(_ *kit, cfg *dashboard.Config) {
		cfg.Now = func() time.Time { return minute.Add(time.Duration(after.Load())) }
	})
	k.exec(`insert into tallies (domain, seconds, at, counts) values ('', 60, $1::timestamptz - interval '1 minute', '{"login/ok":77,"took/3":77}'), ('', 60, $1, '{"login/ok":5,"took/3":1}')
		on conflict (domain, seconds, at) do update set counts = excluded.counts`, minute)
	last := func() string {
		d := k.as(dashboard.Viewer).get("/dashboard/overview").ok(http.StatusOK)
		rows := all(d.all("tbody")[0], "tr")
		return text(rows[len(rows)-1])
	}
	for passed, want := range map[time.Duration]string{
		30 * time.Second: minute.Add(-time.Minute).Format("15:04:05") + " UTC 77",
		65 * time.Second: minute.Add(-time.Minute).Format("15:04:05") + " UTC 77", // what the last seconds came to may be still to be written
		75 * time.Second: minute.Format("15:04:05") + " UTC 5",
	} {
		after.Store(int64(passed))
		if got := last(); !strings.Contains(got, want) {
			t.Errorf("%s after the minute began the table ends with %q, want %q", passed, got, want)
		}
	}
}

func TestDecisionsAreFoundAndExplained(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	k.seed(session{account: "ada@one.example", resource: "old tablet", generation: 7, platform: "ios", ended: true}, session{account: "ada@one.example", resource: "phone", generation: 8},
		session{account: "eve@two.example", resource: "x", generation: 1})
	viewer := k.as(dashboard.Viewer)
	viewer.get("/dashboard/decisions").ok(http.StatusOK).says("No decision yet")
	k.decide("ada@one.example", "phone", "allow", "takeover", 5, 7, 99)
	k.decide("eve@two.example", "laptop", "deny", "cooldown", 10)
	d := viewer.get("/dashboard/decisions").ok(http.StatusOK)
	d.says("takeover", "Let in; another device’s session had to go", "it was admitted as phone", "Displaced shortly before, it has to wait", "Winner phone · android Had to go old tablet · ios", "cooldown", "max_sessions · set for the domain")
	if href := d.link("/dashboard/account?"); !strings.Contains(href, "ada%40one.example") {
		t.Errorf("the account's page is %q", href)
	}
	// The reason is in the reader's language, what it rests on in the API's.
	viewer.header.Set("Accept-Language", "ja")
	ja := viewer.get("/dashboard/decisions").ok(http.StatusOK).says("許可。他のデバイスのセッションを終了")
	for _, n := range ja.all("summary") {
		if strings.Contains(text(n), "admitted") {
			t.Errorf("a summary is in English: %s", text(n))
		}
	}
	for _, n := range ja.all("ol") {
		if attr(n, "lang") != "en" {
			t.Errorf("an explanation is said to be Japanese: %s", text(n))
		}
	}
	viewer.header.Del("Accept-Language")
	// A repeated one stands where it happened first, and says when it did last.
	k.exec("update decisions set repeats = 11, last_at = at + interval '2 seconds' where code = 'cooldown'")
	viewer.get("/dashboard/decisions").ok(http.StatusOK).says("11 more times since, last")
	viewer.get("/dashboard/decisions?outcome=deny").ok(http.StatusOK).says("eve@two.example").lacks("ada@one.example")
	viewer.get("/dashboard/decisions?code=takeover").ok(http.StatusOK).says("ada@one.example").lacks("eve@two.example")
	viewer.get("/dashboard/decisions?domain=none.example").ok(http.StatusOK).says("No decision matches")
	viewer.get("/dashboard/decisions?domain=a@b").ok(http.StatusUnprocessableEntity)
	viewer.get("/dashboard/decisions?code=nonsense").ok(http.StatusUnprocessableEntity).says("This must be one of")
	viewer.get("/dashboard/decisions?cursor=nonsense").ok(http.StatusUnprocessableEntity).says("This is not a cursor of this list")
	k.as(dashboard.Viewer, "two.example").get("/dashboard/decisions").ok(http.StatusOK).says("eve@two.example").lacks("ada@one.example")
	for i := range 120 {
		k.decide("ada@one.example", fmt.Sprintf("many%03d", i), "allow", "ok", 100+i)
	}
	seen := map[string]bool{}
	for path := "/dashboard/decisions?code=ok"; path != ""; {
		d := viewer.get(path).ok(http.StatusOK)
		for i := range 120 {
			if name := fmt.Sprintf("many%03d", i); strings.Contains(text(d.root), name) {
				seen[name] = true
			}
		}
		path = ""
		for _, a := range d.all("a") {
			if attr(a, "rel") == "next" {
				path = attr(a, "href")
			}
		}
	}
	if len(seen) != 120 {
		t.Errorf("%d decisions are on the pages, want 120", len(seen))
	}
}

// Each question which of two devices to block holds what they call themselves.
func TestLoopsSurviveHostileNames(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	seedHostileAccount(k)
	admin := k.as(dashboard.Admin)
	asked := 0
	for _, a := range admin.get("/dashboard/loops").ok(http.StatusOK).all("a") {
		if href := attr(a, "href"); strings.HasPrefix(href, "/dashboard/loops/block?") {
			checkPage(t, admin.get(href).ok(http.StatusOK), "en")
			asked++
		}
	}
	if asked != len(hostile) {
		t.Errorf("%d loops are on the page, want %d", asked, len(hostile))
	}
}

func TestLoops(t *testing.T) {
	t.Parallel()
	k := newKit(t)
	viewer, support := k.as(dashboard.Viewer), k.as(dashboard.Support)
	viewer.get("/dashboard/loops").ok(http.StatusOK).says("No loop is open")
	k.seed(session{account: "ada@one.example", resource: "phone", generation: 3, device: 5, platform: "ios"}, session{account: "bob@two.example", resource: "web", generation: 1})
	k.exec(`insert into devices (account, id, identity, user_agent_id, first_seen_at, last_seen_at) select $1, n, 'certain', 'x' || n, now(), now() from generate_series(5, 6) n`, store.KeyOf("ada@one.example"))
	other := int64(6)
	k.loop("ada@one.example", 3, &other, "tablet")
	k.loop("bob@two.example", 1, nil, "web")
	d := viewer.get("/dashboard/loops").ok(http.StatusOK).says("ada@one.example phone ios certain tablet", "known by its resource alone")
	if d.form("/dashboard/loops/release") || d.link("/dashboard/loops/block?") != "" {
		t.Error("a viewer is offered to steer")
	}
	k.as(dashboard.Viewer, "two.example").get("/dashboard/loops").ok(http.StatusOK).says("bob@two.example").lacks("ada@one.example")
	k.as(dashboard.Support, "two.example").get("/dashboard/loops/block?jid=ada@one.example&device=" + store.DeviceID(store.KeyOf("ada@one.example"), 6) + "&resource=tablet").ok(http.StatusNotFound)
	k.as(dashboard.Support, "two.example").post("/dashboard/loops/release", "jid", "ada@one.example").ok(http.StatusNotFound)
	k.as(dashboard.Support, "two.example").post("/dashboard/loops/block", "jid", "ada@one.example", "which", store.DeviceID(store.KeyOf("ada@one.example"), 6)).ok(http.StatusNotFound)

	ask := support.get(blockOf(support, "ada")).ok(http.StatusOK).says("Block one of the devices?", "Stays: phone", "Kept out: tablet")
	support.submit(ask, "/dashboard/loops/block", "which", store.DeviceID(store.KeyOf("ada@one.example"), 6), "reason", "stolen").redirects("/dashboard/loops")
	var blocked string
	if err := k.pool.QueryRow(t.Context(), "select string_agg(id::text, ' ') from devices where blocked").Scan(&blocked); err != nil || blocked != "6" {
		t.Errorf("the devices %q are blocked, %v", blocked, err)
	}
	support.get("/dashboard/loops").ok(http.StatusOK).says("the device is being logged out")
	support.post("/dashboard/loops/block", "jid", "ada@one.example").ok(http.StatusBadRequest)
	support.post("/dashboard/loops/block", "jid", "ada@one.example", "which", "nonsense").ok(http.StatusUnprocessableEntity)

	// Nobody knows the device of bob's session: it is ended.
	ask = support.get(blockOf(support, "bob")).ok(http.StatusOK).says("Its device is not known")
	support.submit(ask, "/dashboard/loops/block", "which", store.SessionID(store.KeyOf("bob@two.example"), 1)).redirects("/dashboard/loops")
	support.post("/dashboard/loops/release", "jid", "bob@two.example").redirects("/dashboard/loops")
	support.get("/dashboard/loops").ok(http.StatusOK).says("bob@two.example is released")
	var actions string
	if err := k.pool.QueryRow(t.Context(), "select string_agg(action, ' ' order by at, id) from audit where via = 'dashboard'").Scan(&actions); err != nil || actions != "session.kick session.kick protection.release" {
		t.Errorf("the audit says %q, %v", actions, err)
	}
}

// blockOf is the address of the question which of an account's devices to block.
func blockOf(r *reader, name string) string {
	for _, a := range r.get("/dashboard/loops").all("a") {
		if href := attr(a, "href"); strings.HasPrefix(href, "/dashboard/loops/block?") && strings.Contains(href, "jid="+name) {
			return href
		}
	}
	r.k.t.Fatalf("%s has no loop", name)
	return ""
}
