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
