package rules

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var eight = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// facts reads a case in short: the account's rule as JSON, the newcomer as "resource platform [dev7] [party=7] [certain|probable] …", and each session as
// "generation resource platform state [alive|silent] [dev7] [idle60]".
func facts(t *testing.T, rule, newcomer string, sessions ...string) Facts {
	t.Helper()
	r, err := Parse([]byte(rule))
	if err != nil {
		t.Fatalf("rule %s: %v", rule, err)
	}
	f := Facts{Account: "alice@example.org", Rule: Merge(LevelRule{LevelAccount, r}), Groups: ShippedPlatforms().Groups}
	words := strings.Fields(newcomer)
	f.Newcomer = Newcomer{Resource: words[0], Platform: words[1], Identity: UnknownIdentity}
	for _, w := range words[2:] {
		if id, ok := strings.CutPrefix(w, "dev"); ok {
			f.Newcomer.Device = number(t, id)
		} else if id, ok := strings.CutPrefix(w, "party="); ok {
			f.Newcomer.Party = Party(number(t, id))
		} else if id, ok := strings.CutPrefix(w, "chose="); ok {
			f.Newcomer.Chosen = number(t, id)
		} else if id, ok := strings.CutPrefix(w, "token="); ok {
			f.Newcomer.Token = id
		} else if wait, ok := strings.CutPrefix(w, "wait="); ok {
			f.WaitUntil = eight.Add(time.Duration(number(t, wait)) * time.Second)
		} else if w == "known" {
			f.Newcomer.Known = true
		} else if w == "cloned" {
			f.Newcomer.Cloned = true
		} else if w == "grant" {
			f.Newcomer.Grant = true
		} else if w == "blocked" {
			f.Newcomer.Blocked = true
		} else if group, ok := strings.CutPrefix(w, "group="); ok {
			f.Group = group
		} else if w == "secure" {
			f.Newcomer.Secure = true
		} else if ip, ok := strings.CutPrefix(w, "ip="); ok {
			f.Newcomer.IP = ip
		} else if client, ok := strings.CutPrefix(w, "client="); ok {
			f.Newcomer.Client = client
		} else if id, ok := strings.CutPrefix(w, "registered="); ok {
			f.Newcomer.DeviceID, f.Newcomer.Registered = "dev_"+id, true
		} else {
			f.Newcomer.Identity = Identity(w)
		}
	}
	for _, text := range sessions {
		words := strings.Fields(text)
		s := Session{
			Generation: number(t, words[0]), Resource: words[1], Platform: words[2], State: State(words[3]),
			StartedAt: eight.Add(-24 * time.Hour), LastSeenAt: eight,
		}
		for _, w := range words[4:] {
			if id, ok := strings.CutPrefix(w, "dev"); ok {
				s.Device, s.Identity = number(t, id), Certain
			} else if id, ok := strings.CutPrefix(w, "party="); ok {
				s.Party = Party(number(t, id))
			} else if paused, ok := strings.CutPrefix(w, "paused"); ok {
				s.PausedAt = eight.Add(-time.Duration(number(t, paused)) * time.Second)
			} else if ip, ok := strings.CutPrefix(w, "ip="); ok {
				s.IP = ip
			} else if client, ok := strings.CutPrefix(w, "client="); ok {
				s.Client = client
			} else if id, ok := strings.CutPrefix(w, "registered="); ok {
				s.DeviceID, s.Registered = "dev_"+id, true
			} else if id, ok := strings.CutPrefix(w, "known="); ok {
				s.DeviceID = "dev_" + id
			} else if idle, ok := strings.CutPrefix(w, "idle"); ok {
				s.LastSeenAt = eight.Add(-time.Duration(number(t, idle)) * time.Second)
			} else {
				s.Verdict = Verdict(w)
			}
		}
		f.Sessions = append(f.Sessions, s)
	}
	return f
}

func number(t *testing.T, s string) int64 {
	t.Helper()
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// inShort writes a decision as the tables below have it.
func inShort(d Decision) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s", d.Outcome, d.Code)
	if d.Condition != "" {
		fmt.Fprintf(&b, " <%s/>", d.Condition)
	}
	if len(d.Evict) > 0 {
		fmt.Fprintf(&b, " evict %v", d.Evict)
	}
	if len(d.Probe) > 0 {
		fmt.Fprintf(&b, " probe %v", d.Probe)
	}
	fmt.Fprintf(&b, " (%s)", d.Level)
	if d.Shadow {
		b.WriteString(" shadow")
	}
	return b.String()
}

type list = []string

func TestDecide(t *testing.T) {
	t.Parallel()
	tests := []struct {
		words    string
		rule     string
		newcomer string
		sessions list
		want     string
	}{
		// Without limits.
		{"no rule and nobody else: welcome", `{}`, "phone ios", nil, "allow ok (default)"},
		{"no rule and others on other resources: everybody stays", `{}`, "phone ios", list{"1 laptop desktop active", "2 web1 web hibernating"}, "allow ok (default)"},
		{"a limit that is not reached makes nobody go", `{"max_sessions":3}`, "phone ios", list{"1 laptop desktop active", "2 web1 web active"}, "allow ok (default)"},

		// max_sessions, evict_oldest.
		{"one device: the newest wins", `{"max_sessions":1}`, "phone ios", list{"1 laptop desktop active"}, "allow takeover evict [1] (account)"},
		{"oldest is the lowest generation, not the longest idle", `{"max_sessions":2}`, "phone ios", list{"4 laptop desktop active idle900", "3 web1 web active"}, "allow takeover evict [3] (account)"},
		{"a lowered limit converges at the next login", `{"max_sessions":2}`, "phone ios", list{"1 a web active", "2 b web active", "3 c web active", "4 d web active"}, "allow takeover evict [1 2 3] (account)"},
		{"a binding session counts as live", `{"max_sessions":1}`, "phone ios", list{"1 laptop desktop binding"}, "allow takeover evict [1] (account)"},
		{"a hibernating session is not preferred when the oldest goes", `{"max_sessions":2}`, "phone ios", list{"1 a web active", "2 b web hibernating"}, "allow takeover evict [1] (account)"},
		{"a session that answers goes all the same when the oldest goes", `{"max_sessions":1}`, "phone ios", list{"1 a web active alive"}, "allow takeover evict [1] (account)"},

		// evict_idle.
		{"the longest idle goes", `{"max_sessions":2,"on_excess":"evict_idle"}`, "phone ios", list{"1 a web active idle5", "2 b web active idle60"}, "allow takeover evict [2] (account)"},
		{"of two that are equally idle the older goes", `{"max_sessions":2,"on_excess":"evict_idle"}`, "phone ios", list{"2 b web active idle60", "1 a web active idle60"}, "allow takeover evict [1] (account)"},

		// max_per_platform.
		{"one phone, one computer: the phone replaces the phone", `{"max_per_platform":{"ios":1,"desktop":1}}`, "phone ios", list{"1 pad ios active", "2 mac desktop active"}, "allow takeover evict [1] (account)"},
		{"a platform without a limit has none", `{"max_per_platform":{"ios":1}}`, "w3 web", list{"1 w1 web active", "2 w2 web active"}, "allow ok (default)"},
		{"an unknown platform can have a limit too", `{"max_per_platform":{"unknown":1}}`, "x unknown", list{"1 y unknown active"}, "allow takeover evict [1] (account)"},
		{"the limit of another platform than the newcomer's converges as well", `{"max_per_platform":{"web":1}}`, "phone ios", list{"1 w1 web active", "2 w2 web active", "3 w3 web active"}, "allow takeover evict [1 2] (account)"},
		{"what a platform's limit makes go counts for max_sessions", `{"max_sessions":2,"max_per_platform":{"ios":1}}`, "phone ios", list{"1 mac desktop active", "2 pad ios active"}, "allow takeover evict [2] (account)"},
		{"max_sessions takes the remaining excess", `{"max_sessions":2,"max_per_platform":{"ios":1}}`, "phone ios", list{"1 mac desktop active", "2 pad ios active", "3 w web active"}, "allow takeover evict [1 2] (account)"},

		// Groups of platforms.
		{"one on the go: a tablet and a phone count together", `{"max_per_platform":{"mobile":1,"desktop":1}}`, "phone android", list{"1 pad ios active", "2 mac desktop active"}, "allow takeover evict [1] (account)"},
		{"a group and one of its platforms can both have a limit; who goes for the narrow one spares the others", `{"max_per_platform":{"mobile":2,"ios":1}}`, "phone ios", list{"1 x android active", "2 pad ios active"}, "allow takeover evict [2] (account)"},
		{"a device that was registered with the group's name is of it", `{"max_per_platform":{"mobile":1}}`, "phone ios", list{"1 x mobile active"}, "allow takeover evict [1] (account)"},
		{"a group that is full denies", `{"max_per_platform":{"mobile":1},"on_excess":"deny"}`, "phone android", list{"1 pad ios active alive"}, "deny limit <resource-constraint/> (account)"},

		// exclusive.
		{"at most one of a set", `{"exclusive":[["ios","web"]]}`, "phone ios", list{"1 w web active", "2 mac desktop active"}, "allow takeover evict [1] (account)"},
		{"also of the same platform", `{"exclusive":[["ios","web"]]}`, "w2 web", list{"1 w web active"}, "allow takeover evict [1] (account)"},
		{"who is in no set is let alone", `{"exclusive":[["ios","web"]]}`, "mac desktop", list{"1 w web active"}, "allow ok (default)"},
		{"sets are judged each on its own", `{"exclusive":[["ios","android"],["desktop","web"]]}`, "phone ios", list{"1 x android active", "2 mac desktop active"}, "allow takeover evict [1] (account)"},
		{"a set may name a group", `{"exclusive":[["mobile","web"]]}`, "w web", list{"1 x android active"}, "allow takeover evict [1] (account)"},
		{"an earlier excess within a set converges", `{"exclusive":[["ios","web"]]}`, "mac desktop", list{"1 w web active", "2 x ios active"}, "allow takeover evict [1] (account)"},
		{"under deny who has the place is probed", `{"exclusive":[["ios","web"]],"on_excess":"deny"}`, "phone ios", list{"1 w web active", "2 mac desktop active"}, "need limit probe [1] (account)"},
		{"and keeps it if it answers", `{"exclusive":[["ios","web"]],"on_excess":"deny"}`, "phone ios", list{"1 w web active alive"}, "deny limit <resource-constraint/> (account)"},
		{"one place for several reasons: everybody in the way is probed at once", `{"exclusive":[["ios","web"],["ios","desktop"]],"on_excess":"deny"}`, "phone ios", list{"1 w web active", "2 mac desktop active"}, "need limit probe [1 2] (account)"},

		// hibernating_counts.
		{"a suspended phone keeps its place", `{"max_sessions":1,"on_excess":"deny","hibernating_counts":true}`, "phone ios", list{"1 pad ios hibernating"}, "deny limit <resource-constraint/> (account)"},
		{"and its resource", `{"same_resource":"deny","hibernating_counts":true}`, "phone ios", list{"1 phone ios hibernating"}, "deny same_resource <conflict/> (account)"},
		{"one that fell asleep while it was probed keeps it too", `{"max_sessions":1,"on_excess":"deny","hibernating_counts":true}`, "phone ios", list{"1 pad ios active asleep"}, "deny limit <resource-constraint/> (account)"},
		{"and is a ghost where that does not count", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 pad ios active asleep"}, "allow takeover evict [1] (account)"},
		{"one that does not answer does not keep it", `{"max_sessions":1,"on_excess":"deny","hibernating_counts":true}`, "phone ios", list{"1 pad ios active silent"}, "allow takeover evict [1] (account)"},
		{"it is no protection where the newest wins", `{"max_sessions":1,"hibernating_counts":true}`, "phone ios", list{"1 pad ios hibernating"}, "allow takeover evict [1] (account)"},

		// exempt.
		{"an exempt address is neither counted nor evicted", `{"max_sessions":1,"exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios", list{"1 a web active ip=192.0.2.9", "2 b web active ip=198.51.100.1"}, "allow takeover evict [2] (account)"},
		{"an exempt newcomer is let in, and nobody goes for it", `{"max_sessions":1,"on_excess":"deny","exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios ip=192.0.2.1", list{"1 b web active alive"}, "allow ok (default)"},
		{"as an IPv4 address in IPv6's clothes too", `{"max_sessions":1,"on_excess":"deny","exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios ip=::ffff:192.0.2.1", list{"1 b web active alive"}, "allow ok (default)"},
		{"an address that is not known is not exempt", `{"max_sessions":1,"on_excess":"deny","exempt":[{"cidr":"0.0.0.0/0"}]}`, "phone ios", list{"1 b web active alive"}, "deny limit <resource-constraint/> (account)"},
		{"an exempt account has no limits", `{"max_sessions":1,"exempt":[{"account":"ali?e@*"}]}`, "phone ios", list{"1 b web active"}, "allow ok (default)"},
		{"another account has", `{"max_sessions":1,"exempt":[{"account":"bob@*"}]}`, "phone ios", list{"1 b web active"}, "allow takeover evict [1] (account)"},
		{"an exempt group", `{"max_sessions":1,"exempt":[{"group":"staff"}]}`, "phone ios group=staff", list{"1 b web active"}, "allow ok (default)"},
		{"who is in no group is not in it", `{"max_sessions":1,"exempt":[{"group":"?*"}]}`, "phone ios", list{"1 b web active"}, "allow takeover evict [1] (account)"},
		{"a registered device", `{"max_sessions":1,"exempt":[{"device_id":"dev_7"}]}`, "phone ios", list{"1 b web active registered=7", "2 c web active"}, "allow takeover evict [2] (account)"},
		{"a device that the backend did not register is not believed", `{"max_sessions":1,"exempt":[{"device_id":"dev_7"}]}`, "phone ios", list{"1 b web active known=7"}, "allow takeover evict [1] (account)"},
		{"a registered newcomer", `{"max_sessions":1,"exempt":[{"device_id":"dev_7"}]}`, "phone ios registered=7", list{"1 b web active"}, "allow ok (default)"},
		{"what a client claims, if that is trusted", `{"max_sessions":1,"exempt":[{"resource":"bot-*","client":"slix*","trust_client_claims":true}]}`, "bot-1 bot client=slixmpp", list{"1 b web active"}, "allow ok (default)"},
		{"all of a matcher's fields must match", `{"max_sessions":1,"exempt":[{"resource":"bot-*","cidr":"192.0.2.0/24","trust_client_claims":true}]}`, "bot-1 bot ip=198.51.100.1", list{"1 b web active"}, "allow takeover evict [1] (account)"},
		{"the others still have to keep to the limit", `{"max_sessions":1,"exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios ip=192.0.2.1", list{"1 b web active", "2 c web active"}, "allow takeover evict [1] (account)"},
		{"an exempt session's resource is not taken from it while it lives", `{"exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios", list{"1 phone ios active ip=192.0.2.1"}, "need same_resource probe [1] (account)"},
		{"it answers: conflict", `{"exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios", list{"1 phone ios active alive ip=192.0.2.1"}, "deny same_resource <conflict/> (account)"},
		{"it does not: its place is free", `{"exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios", list{"1 phone ios active silent ip=192.0.2.1"}, "allow takeover evict [1] (default)"},
		{"an exempt device still replaces itself", `{"exempt":[{"cidr":"192.0.2.0/24"}]}`, "phone ios dev7 certain ip=192.0.2.1", list{"1 phone ios active alive dev7 ip=192.0.2.1"}, "allow own_reconnect evict [1] (default)"},

		// condition.
		{"a condition that holds changes nothing", `{"condition":"device.platform == 'ios' && session.secure"}`, "phone ios secure", nil, "allow ok (default)"},
		{"one that does not denies, to wait", `{"condition":"session.secure"}`, "phone ios", list{"1 a web active"}, "deny condition <resource-constraint/> (account)"},
		{"or as the rule says", `{"condition":"session.secure","deny_condition":"conflict"}`, "phone ios", nil, "deny condition <conflict/> (account)"},
		{"it comes before everything else, and nobody is probed or goes", `{"condition":"false","max_sessions":1,"on_excess":"deny","same_resource":"deny"}`, "phone ios dev7 certain", list{"1 phone ios active dev7"}, "deny condition <resource-constraint/> (account)"},
		{"who is exempt from limits still has to meet it", `{"condition":"session.secure","exempt":[{"account":"*"}]}`, "phone ios", nil, "deny condition <resource-constraint/> (account)"},
		{"what cannot be evaluated is false", `{"condition":"int(session.resource) > 3"}`, "phone ios", nil, "deny condition <resource-constraint/> (account)"},
		{"shadow: recorded, let in", `{"enforce":false,"condition":"session.secure"}`, "phone ios", nil, "deny condition <resource-constraint/> (account) shadow"},
		{"null is none", `{"condition":null}`, "phone ios", nil, "allow ok (default)"},

		// on_excess: deny.
		{"oldest wins: what stands in the way is probed first", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 laptop desktop active"}, "need limit probe [1] (account)"},
		{"it answers: the newcomer is denied, to wait", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 laptop desktop active alive"}, "deny limit <resource-constraint/> (account)"},
		{"the rule may choose conflict", `{"max_sessions":1,"on_excess":"deny","deny_condition":"conflict"}`, "phone ios", list{"1 laptop desktop active alive"}, "deny limit <conflict/> (account)"},
		{"it does not answer: it is a ghost and goes", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 laptop desktop active silent"}, "allow takeover evict [1] (account)"},
		{"what hibernates is a ghost without a probe", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 laptop desktop hibernating"}, "allow takeover evict [1] (account)"},
		{"what answered before it went to sleep is none", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 laptop desktop hibernating alive"}, "deny limit <resource-constraint/> (account)"},
		{"what is binding counts and cannot be probed", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 laptop desktop binding"}, "deny limit <resource-constraint/> (account)"},
		{"a binding one that turned out to be gone goes", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 laptop desktop binding silent"}, "allow takeover evict [1] (account)"},
		{"no ghost goes where there is room", `{"max_sessions":3,"on_excess":"deny"}`, "phone ios", list{"1 a web hibernating", "2 b web active silent"}, "allow ok (default)"},
		{"only as many ghosts go as needed, hibernating ones first, the oldest of them first", `{"max_sessions":4,"on_excess":"deny"}`, "phone ios", list{"1 a web active silent", "4 d web hibernating", "3 c web hibernating", "2 b web active alive"}, "allow takeover evict [3] (account)"},
		{"then silent ones, oldest first", `{"max_sessions":3,"on_excess":"deny"}`, "phone ios", list{"1 a web active silent", "2 b web active silent", "3 c web hibernating", "4 d web active alive"}, "allow takeover evict [1 3] (account)"},
		{"known ghosts that suffice spare the others a probe", `{"max_sessions":2,"on_excess":"deny"}`, "phone ios", list{"1 a web active", "2 b web hibernating"}, "allow takeover evict [2] (account)"},
		{"ghosts that do not suffice stay, and the newcomer is denied", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 a web active alive", "2 b web hibernating"}, "deny limit <resource-constraint/> (account)"},
		{"only those not probed yet are named", `{"max_sessions":2,"on_excess":"deny"}`, "phone ios", list{"3 c web active", "1 a web active alive", "2 b web active"}, "need limit probe [2 3] (account)"},
		{"nobody is probed if there would be no room even were all of them silent", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 a web active", "2 b web binding"}, "deny limit <resource-constraint/> (account)"},
		{"nor for the whole, if the platform has no room anyway", `{"max_sessions":2,"max_per_platform":{"ios":1},"on_excess":"deny"}`, "phone ios", list{"1 mac desktop active", "2 pad ios active alive"}, "deny limit <resource-constraint/> (account)"},
		{"a full platform denies", `{"max_per_platform":{"ios":1},"on_excess":"deny"}`, "phone ios", list{"1 pad ios active alive", "2 mac desktop hibernating"}, "deny limit <resource-constraint/> (account)"},
		{"for a full platform only its own sessions are in the way", `{"max_per_platform":{"ios":1},"on_excess":"deny"}`, "phone ios", list{"1 pad ios active", "2 mac desktop active"}, "need limit probe [1] (account)"},
		{"a limit that does not count the newcomer does not keep it out", `{"max_per_platform":{"web":1},"on_excess":"deny"}`, "phone ios", list{"1 w1 web active alive", "2 w2 web active alive"}, "allow ok (default)"},
		{"a ghost that makes room on the platform makes room in all", `{"max_sessions":2,"max_per_platform":{"ios":1},"on_excess":"deny"}`, "phone ios", list{"1 mac desktop hibernating", "2 pad ios hibernating"}, "allow takeover evict [2] (account)"},
		{"both limits full: everybody in the way is probed at once", `{"max_sessions":2,"max_per_platform":{"ios":1},"on_excess":"deny"}`, "phone ios", list{"1 mac desktop active", "2 pad ios active"}, "need limit probe [1 2] (account)"},
		{"the platform is full and lives, ghosts elsewhere do not help", `{"max_sessions":2,"max_per_platform":{"ios":1},"on_excess":"deny"}`, "phone ios", list{"1 mac desktop hibernating", "2 pad ios active alive"}, "deny limit <resource-constraint/> (account)"},

		// same_resource.
		{"the same resource: the newest wins", `{}`, "phone ios", list{"1 phone ios active"}, "allow takeover evict [1] (default)"},
		{"a resource in other letters is another", `{}`, "phone ios", list{"1 Phone ios active"}, "allow ok (default)"},
		{"the replaced one makes room for max_sessions", `{"max_sessions":2}`, "phone ios", list{"1 a web active", "2 phone ios active"}, "allow takeover evict [2] (default)"},
		{"resource and limit: the resource's field is named", `{"max_sessions":1,"same_resource":"replace"}`, "phone ios", list{"1 a web active", "2 phone ios active"}, "allow takeover evict [1 2] (account)"},
		{"same_resource deny: the holder is probed first", `{"same_resource":"deny"}`, "phone ios", list{"1 phone ios active"}, "need same_resource probe [1] (account)"},
		{"it answers: conflict, whatever deny_condition says", `{"same_resource":"deny","deny_condition":"resource-constraint"}`, "phone ios", list{"1 phone ios active alive"}, "deny same_resource <conflict/> (account)"},
		{"it is silent: it goes", `{"same_resource":"deny"}`, "phone ios", list{"1 phone ios active silent"}, "allow takeover evict [1] (account)"},
		{"it hibernates: it goes", `{"same_resource":"deny"}`, "phone ios", list{"1 phone ios hibernating"}, "allow takeover evict [1] (account)"},
		{"it is binding: conflict", `{"same_resource":"deny"}`, "phone ios", list{"1 phone ios binding"}, "deny same_resource <conflict/> (account)"},
		{"one that answers is enough, nobody else is probed", `{"same_resource":"deny"}`, "phone ios", list{"1 phone ios active alive", "2 phone ios active"}, "deny same_resource <conflict/> (account)"},
		{"resource and limit are probed in one round", `{"same_resource":"deny","max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 phone ios active", "2 a web active"}, "need same_resource probe [1 2] (account)"},
		{"the limit needs no probe if the silent holder's place is enough", `{"same_resource":"deny","max_sessions":2,"on_excess":"deny"}`, "phone ios", list{"1 phone ios active", "2 a web active"}, "need same_resource probe [1] (account)"},
		{"the resource is denied before the limit is", `{"same_resource":"deny","max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 phone ios active alive", "2 a web active alive"}, "deny same_resource <conflict/> (account)"},

		// The newcomer's own device.
		{"a certain device replaces its own session, and that is no takeover", `{"max_sessions":1}`, "phone ios dev7 certain", list{"1 old ios active dev7"}, "allow own_reconnect evict [1] (default)"},
		{"it is never denied because of itself", `{"max_sessions":1,"on_excess":"deny","same_resource":"deny"}`, "phone ios dev7 certain", list{"1 phone ios active alive dev7"}, "allow own_reconnect evict [1] (default)"},
		{"it goes without any limit", `{}`, "phone ios dev7 certain", list{"1 old ios active dev7", "2 other ios active dev8"}, "allow own_reconnect evict [1] (default)"},
		{"another's session that goes too makes it a takeover", `{"max_sessions":1}`, "phone ios dev7 certain", list{"1 old ios active dev7", "2 a web active"}, "allow takeover evict [1 2] (account)"},
		{"it may be denied because of others, then nobody goes", `{"max_sessions":1,"on_excess":"deny"}`, "phone ios dev7 certain", list{"1 old ios active dev7", "2 a web active alive"}, "deny limit <resource-constraint/> (account)"},
		{"a probable device is not sure to be the same", `{}`, "phone ios dev7 probable", list{"1 old ios active dev7"}, "allow ok (default)"},
		{"two devices that nothing is known of are not the same", `{}`, "phone ios certain", list{"1 old ios active"}, "allow ok (default)"},

		// enforce: false.
		{"shadow: decided, recorded, nobody goes", `{"enforce":false,"max_sessions":1}`, "phone ios", list{"1 a web active"}, "allow takeover (account) shadow"},
		{"shadow: a denial is recorded as one", `{"enforce":false,"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 a web active alive"}, "deny limit <resource-constraint/> (account) shadow"},
		{"shadow: what would be probed is", `{"enforce":false,"max_sessions":1,"on_excess":"deny"}`, "phone ios", list{"1 a web active"}, "need limit probe [1] (account) shadow"},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			d := Decide(facts(t, tt.rule, tt.newcomer, tt.sessions...), eight)
			if got := inShort(d); got != tt.want {
				t.Errorf("got  %s\nwant %s\n%s", got, tt.want, strings.Join(d.Explanation, "\n"))
			}
		})
	}
}

func TestDecideNamesTheLevelOfTheFieldThatDecided(t *testing.T) {
	t.Parallel()
	one, five := 1, 5
	f := facts(t, `{}`, "phone ios", "1 a web active alive", "2 b ios active alive")
	f.Rule = Merge(
		LevelRule{LevelAccount, Rule{MaxSessions: Of(&five)}},
		LevelRule{LevelDefault, Rule{MaxSessions: Of(&one), MaxPerPlatform: Of(map[string]int{"ios": 1}), OnExcess: Of(Deny)}},
	)
	if got, want := inShort(Decide(f, eight)), "deny limit <resource-constraint/> (default)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f.Rule = Merge(
		LevelRule{LevelAccount, Rule{MaxPerPlatform: Of(map[string]int{"ios": 1})}},
		LevelRule{LevelGroup, Rule{SameResource: Of(DenySameResource)}},
		LevelRule{LevelDomain, Rule{MaxSessions: Of(&one)}},
	)
	f.Newcomer.Platform = "web"
	if got, want := inShort(Decide(f, eight)), "allow takeover evict [1 2] (domain)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	f.Newcomer.Platform = "ios"
	if got, want := inShort(Decide(f, eight)), "allow takeover evict [1 2] (account)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	slices.Reverse(f.Sessions)
	if got, want := inShort(Decide(f, eight)), "allow takeover evict [1 2] (account)"; got != want {
		t.Errorf("in another order: got %s, want %s", got, want)
	}
	f.Newcomer.Resource = "a"
	if got, want := inShort(Decide(f, eight)), "deny same_resource <conflict/> (group)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestDecideOnAnEmptyRuleLetsInAndChangesNothing(t *testing.T) {
	t.Parallel()
	d := Decide(Facts{Newcomer: Newcomer{Resource: "a"}, Sessions: []Session{{Generation: 1, Resource: "a"}}}, eight)
	if got, want := inShort(d), "allow takeover (default) shadow"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestALimitBelowOneNeverCostsTheNewcomerItsPlaceUnderEviction(t *testing.T) {
	t.Parallel()
	zero := 0
	f := facts(t, `{}`, "phone ios")
	f.Rule.MaxSessions = &zero // Parse refuses it
	d := Decide(f, eight)
	if got, want := inShort(d), "allow ok (default)"; got != want || !strings.Contains(d.Explanation[1], "Nobody else is there") {
		t.Errorf("got %s, want %s: %q", got, want, d.Explanation)
	}
	f.Rule.OnExcess = Deny
	if got, want := inShort(Decide(f, eight)), "deny limit <resource-constraint/> (default)"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestExplanation(t *testing.T) {
	t.Parallel()
	tests := []struct {
		words string
		facts Facts
		want  []string
	}{
		{
			"a takeover by a limit", facts(t, `{"max_sessions":1}`, "phone ios", "1 laptop desktop active idle60"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 1: "laptop" (platform "desktop", active, idle 60 s, generation 1).`,
				`In all: 2 with the newcomer, 1 allowed (max_sessions, set for the account); on_excess is evict_oldest, by default, the oldest first. Goes: "laptop" (platform "desktop", active, idle 60 s, generation 1).`,
				`Allowed: takeover.`,
			},
		},
		{
			"nobody and nothing", facts(t, `{}`, "phone ios"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 0.`,
				`No limit counts this login.`,
				`Allowed: ok.`,
			},
		},
		{
			"a platform's excess, a limit that is kept", facts(t, `{"max_per_platform":{"web":1,"ios":2,"bot":1},"on_excess":"evict_idle"}`, "phone ios", "1 w1 web active idle9", "2 w2 web hibernating"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 2: "w1" (platform "web", active, idle 9 s, generation 1), "w2" (platform "web", hibernating, idle 0 s, generation 2).`,
				`On platform "ios": 1 with the newcomer, 2 allowed (max_per_platform, set for the account): within the limit.`,
				`On platform "web": 2 now, 1 allowed (max_per_platform, set for the account); on_excess is evict_idle, set for the account, the longest idle first. Goes: "w1" (platform "web", active, idle 9 s, generation 1).`,
				`Allowed: takeover.`,
			},
		},
		{
			"a probe", facts(t, `{"max_sessions":1,"on_excess":"deny"}`, "phone ios", "1 a web active"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 1: "a" (platform "web", active, idle 0 s, generation 1).`,
				`In all: 2 with the newcomer, 1 allowed (max_sessions, set for the account); on_excess is deny, set for the account. To be asked for a sign of life first: "a" (platform "web", active, idle 0 s, generation 1).`,
				`Undecided until probed: limit.`,
			},
		},
		{
			"a denial", facts(t, `{"max_sessions":1,"max_per_platform":{"ios":1},"on_excess":"deny"}`, "phone ios", "1 a ios active alive"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 1: "a" (platform "ios", active, answers, idle 0 s, generation 1).`,
				`On platform "ios": 2 with the newcomer, 1 allowed (max_per_platform, set for the account); on_excess is deny, set for the account. In the way: "a" (platform "ios", active, answers, idle 0 s, generation 1).`,
				`In all: 2 with the newcomer, 1 allowed (max_sessions, set for the account); on_excess is deny, set for the account. What decides is max_per_platform.`,
				`Denied: limit.`,
			},
		},
		{
			"a ghost, in shadow", facts(t, `{"max_sessions":1,"on_excess":"deny","enforce":false}`, "phone ios", "1 a ios active silent"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 1: "a" (platform "ios", active, does not answer, idle 0 s, generation 1).`,
				`In all: 2 with the newcomer, 1 allowed (max_sessions, set for the account); on_excess is deny, set for the account. What hibernates or does not answer makes room. Would go: "a" (platform "ios", active, does not answer, idle 0 s, generation 1).`,
				`Allowed: takeover.`,
				`The rule is not enforced (enforce is false, set for the account): this is recorded only; the newcomer is let in and nobody goes.`,
			},
		},
		{
			"a resource and an own device", facts(t, `{"same_resource":"deny"}`, "phone ios dev7 certain", "1 old ios active dev7", "2 phone ios hibernating"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 2: "old" (platform "ios", active, idle 0 s, generation 1), "phone" (platform "ios", hibernating, idle 0 s, generation 2).`,
				`The newcomer's own device, known for certain, replaces its earlier session. Goes: "old" (platform "ios", active, idle 0 s, generation 1).`,
				`The resource is in use; same_resource is deny, set for the account. It hibernates or does not answer. Goes: "phone" (platform "ios", hibernating, idle 0 s, generation 2).`,
				`No limit counts this login.`,
				`Allowed: takeover.`,
			},
		},
		{
			"a resource that is kept", facts(t, `{"same_resource":"deny"}`, "phone ios", "1 phone ios active alive"), []string{
				`Login on resource "phone", platform "ios". Other live sessions: 1: "phone" (platform "ios", active, answers, idle 0 s, generation 1).`,
				`The resource is in use; same_resource is deny, set for the account. In the way: "phone" (platform "ios", active, answers, idle 0 s, generation 1).`,
				`Denied: same_resource.`,
			},
		},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			if diff := cmp.Diff(tt.want, Decide(tt.facts, eight).Explanation); diff != "" {
				t.Errorf("explanation (-want +got):\n%s", diff)
			}
		})
	}
}

func TestExplanationBoundsAndQuotesWhatClientsSay(t *testing.T) {
	t.Parallel()
	f := facts(t, `{"max_sessions":1}`, "phone ios")
	f.Newcomer.Resource = "a\"\n\u202eb" + strings.Repeat("語", 500)
	for i := range 100 {
		f.Sessions = append(f.Sessions, Session{
			Generation: int64(i), Resource: strings.Repeat("\xff", 1000), DeviceName: strings.Repeat("<", 1000), Platform: strings.Repeat("p", 1000), State: Active,
		})
	}
	d := Decide(f, eight)
	all := strings.Join(d.Explanation, "")
	if want := `Login on resource "a\"\n\u202eb` + strings.Repeat("語", 59) + `…"`; !strings.HasPrefix(all, want) {
		t.Errorf("got %.300s, want it to begin with %s", all, want)
	}
	if len(all) > 20_000 || strings.Contains(all, "\n") || !strings.Contains(all, " and 90 more") {
		t.Errorf("%d bytes: %s", len(all), all)
	}
}
