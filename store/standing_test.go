package store

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/bindgate/bindgate/rules"
)

func anyTime(t *rapid.T) time.Time {
	if rapid.IntRange(0, 3).Draw(t, "no time") == 0 {
		return time.Time{}
	}
	return time.UnixMicro(rapid.Int64Range(1, 1<<52).Draw(t, "time")).UTC()
}

func listOf[T any](t *rapid.T, one func() T) (out []T) {
	for range rapid.IntRange(0, 4).Draw(t, "length") {
		out = append(out, one())
	}
	return out
}

func TestStandingIsReadAsItWasWritten(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		number, text, yes := rapid.Int64(), rapid.String(), rapid.Bool()
		s := Standing{
			Protection: rules.Protection{
				Displaced: listOf(t, func() rules.Displacement {
					return rules.Displacement{
						Party: rules.Party(number.Draw(t, "party")), Device: number.Draw(t, "device"), Resource: text.Draw(t, "resource"), Winner: number.Draw(t, "winner"),
						WinnerParty: rules.Party(number.Draw(t, "party")), Own: yes.Draw(t, "own"), At: anyTime(t), SilentSince: anyTime(t), LongestGap: time.Duration(number.Draw(t, "gap")),
						Attempts: rapid.Int().Draw(t, "attempts"), Turns: listOf(t, func() time.Time { return anyTime(t) }), FrozenUntil: anyTime(t),
					}
				}),
				Waits: listOf(t, func() rules.Wait {
					return rules.Wait{Party: rules.Party(number.Draw(t, "party")), Device: number.Draw(t, "device"), Resource: text.Draw(t, "resource"), Until: anyTime(t)}
				}),
			},
			Grants: listOf(t, func() Grant {
				return Grant{
					ID: number.Draw(t, "id"), Hash: []byte(text.Draw(t, "hash")), Device: number.Draw(t, "device"), Resource: text.Draw(t, "resource"), Expires: anyTime(t),
					By: text.Draw(t, "by"), Reserved: number.Draw(t, "reserved"), Used: yes.Draw(t, "used"),
				}
			}),
			Denials: listOf(t, func() Denied {
				return Denied{Party: rules.Party(number.Draw(t, "party")), Code: text.Draw(t, "code"), At: anyTime(t), Last: anyTime(t), Told: anyTime(t), Repeats: rapid.Int().Draw(t, "repeats")}
			}),
			Brought: listOf(t, func() Brought {
				return Brought{Generation: number.Draw(t, "generation"), Chosen: number.Draw(t, "chosen"), Wrong: text.Draw(t, "wrong")}
			}),
		}
		b := s.encode()
		if s.empty() != (b == nil) {
			t.Fatalf("%d bytes of %+v", len(b), s)
		}
		if b == nil {
			return
		}
		got, err := decodeStanding(b)
		if diff := cmp.Diff(s, got); err != nil || diff != "" {
			t.Fatalf("%v\n%s", err, diff)
		}
		for cut := range b {
			if _, err := decodeStanding(b[:cut]); err == nil {
				t.Fatalf("%d of %d bytes were taken", cut, len(b))
			}
		}
	})
}

func FuzzStanding(f *testing.F) {
	var s Standing
	s.Displace(rules.Combatant{Party: 1, Resource: "a"}, rules.Combatant{Party: 2, Generation: 2}, time.Unix(1, 0))
	s.Deny(1, "cooldown", time.Unix(2, 0), 0)
	f.Add(s.encode())
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, b []byte) {
		if s, err := decodeStanding(b); err == nil && !s.empty() {
			if again, err := decodeStanding(s.encode()); err != nil || cmp.Diff(s, again) != "" {
				t.Fatalf("%+v: %v", s, err)
			}
		}
	})
}
