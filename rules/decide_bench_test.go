package rules

import (
	"strconv"
	"testing"
	"time"
)

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{1, 10, 100} {
		b.Run(strconv.Itoa(n), func(b *testing.B) {
			now := time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)
			f := Facts{
				Account:  "alice@example.org",
				Newcomer: Newcomer{Resource: "phone", Identity: UnknownIdentity, Platform: "android"},
				Rule:     Merge(LevelRule{LevelDefault, Rule{MaxSessions: Of(&n)}}),
			}
			for i := range n {
				f.Sessions = append(f.Sessions, Session{
					Generation: int64(n - i), Resource: "tigase-" + strconv.Itoa(i), Platform: "desktop", State: Active, LastSeenAt: now,
				})
			}
			b.ReportAllocs()
			for b.Loop() {
				if d := Decide(f, now); len(d.Evict) != 1 {
					b.Fatal(d)
				}
			}
		})
	}
}

func BenchmarkMerge(b *testing.B) {
	one := 1
	r := Rule{MaxSessions: Of(&one), Enforce: Of(true)}
	b.ReportAllocs()
	for b.Loop() {
		Merge(LevelRule{LevelAccount, r}, LevelRule{LevelDefault, r})
	}
}

func BenchmarkRender(b *testing.B) {
	p := Placeholders{Platform: "android", Device: "Pixel", Time: time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)}
	b.ReportAllocs()
	for b.Loop() {
		Render(nil, "takeover", []string{"zh-Hans-CN", "ja"}, p)
	}
}

func BenchmarkPlatform(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		shippedMatchers.Platform(Subject{Resource: "tigase-10"})
	}
}

// The same login without and with a condition: the ratio is what a condition costs.
func BenchmarkCondition(b *testing.B) {
	text := `device.platform == "web" && session.secure`
	c, err := Compile(text)
	if err != nil {
		b.Fatal(err)
	}
	one := 1
	f := Facts{
		Account: "alice@example.org", Newcomer: Newcomer{Resource: "web-1", Platform: "web", Secure: true},
		Sessions: []Session{{Generation: 1, Resource: "web-0", Platform: "web", State: Active, LastSeenAt: eight}},
	}
	for _, with := range []bool{false, true} {
		r := Rule{MaxSessions: Of(&one)}
		name := "without"
		if with {
			r.Condition, f.Condition, name = Of(&text), c, "with"
		}
		f.Rule = Merge(LevelRule{LevelDefault, r})
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if d := Decide(f, eight); d.Outcome != Allow {
					b.Fatal(d)
				}
			}
		})
	}
}
