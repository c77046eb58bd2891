package rules

import (
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
)

func TestPlatform(t *testing.T) {
	t.Parallel()
	tests := []struct{ resource, client, want string }{
		{"ios", "", "ios"},
		{"x", "Acme (iOS 17)", "ios"},
		{"x", "Acme (Android 14) client/phone", "android"},
		{"x", "Acme (Debian GNU/Linux 12) client/pc", "desktop"},
		{"x", "Acme (Microsoft Windows 11)", "desktop"},
		{"x", "Acme (macOS 15.1)", "desktop"},
		{"x", "Acme client/pc", "desktop"},
		{"x", "Acme (Linux) client/web", "web"},
		{"x", "Acme (Linux) client/bot", "bot"},
		{"x", "nice-bot (Linux)", "bot"},
		{"x", "Acme client/phone", "unknown"},
		{"x", "Acme Linux", "unknown"},
		{"iOS", "", "ios"},
		{"ios-7f3a", "", "ios"},
		{"ios_1", "", "ios"},
		{"ios1", "", "ios"},
		{"ios17", "", "ios"},
		{"iPhone", "", "ios"},
		{"iPhone 15 Pro", "", "ios"},
		{"iPad-2", "", "ios"},
		{"alices-iphone", "", "ios"},
		{"app-ios", "", "ios"},
		{"app.ios.3", "", "ios"},
		{"Monal-iOS.ab12", "", "ios"},
		{"Siskin", "", "ios"},
		{"android", "", "android"},
		{"android-7f3a", "", "android"},
		{"Android14", "", "android"},
		{"xabber-android-Q4", "", "android"},
		{"Conversations.XyZ1", "", "android"},
		{"Quicksy.a", "", "android"},
		{"yaxim", "", "android"},
		{"web", "", "web"},
		{"web-1", "", "web"},
		{"web1", "", "web"},
		{"WebChat", "", "web"},
		{"browser-firefox", "", "web"},
		{"converse.js-8841", "", "web"},
		{"xabber-web-1", "", "web"},
		{"desktop", "", "desktop"},
		{"laptop", "", "desktop"},
		{"Windows 11", "", "desktop"},
		{"win-10", "", "desktop"},
		{"mac", "", "desktop"},
		{"macbook-pro", "", "desktop"},
		{"alice-mac", "", "desktop"},
		{"linux", "", "desktop"},
		{"pc-7", "", "desktop"},
		{"gajim.4XQ2", "", "desktop"},
		{"dino.1f2e", "", "desktop"},
		{"Psi+", "", "desktop"},
		{"Psi+.x", "", "desktop"},
		{"profanity.a1", "", "desktop"},
		{"bot", "", "bot"},
		{"bot-3", "", "bot"},
		{"weather-bot", "", "bot"},
		{"echobot", "", "bot"},
		{"a-bot-b", "", "bot"},

		// The first word of a resource speaks first, the resource before the software.
		{"web-android", "", "web"},
		{"android-web", "", "android"},
		{"ios-1", "Conversations", "ios"},
		{"tigase-10", "Conversations", "android"},
		{"x7f", "Gajim 1.8", "desktop"},
		{"x7f", "Converse.js", "web"},
		{"x7f", "Monal", "ios"},
		{"x7f", "helpbot", "bot"},

		// Nothing is read into words that only look like it.
		{"", "", "unknown"},
		{"tigase-10", "", "unknown"},
		{"phone", "", "unknown"},
		{"kiosk", "", "unknown"},
		{"studios", "", "unknown"},
		{"machine1", "", "unknown"},
		{"winnie", "", "unknown"},
		{"bottle", "", "unknown"},
		{"cobweb", "", "unknown"},
		{"dinosaur", "", "unknown"},
		{"psion", "", "unknown"},
		{"\xff\xfe", "\xff", "unknown"},
		{strings.Repeat("語", 341), "", "unknown"},
	}
	for _, tt := range tests {
		if got := shippedMatchers.Platform(Subject{Resource: tt.resource, Client: tt.client}); got != tt.want {
			t.Errorf("Platform(%q, %q) = %s, want %s", tt.resource, tt.client, got, tt.want)
		}
	}
}

func TestMatchers(t *testing.T) {
	t.Parallel()
	ms := Matchers{
		{Platform: "nobody"},
		{Platform: "tv", Resource: "tv-*", Client: "kodi*"},
		{Platform: "box", Resource: "tv-*"},
		{Platform: "kodi", Client: "kodi*"},
	}
	for _, tt := range []struct{ words, resource, client, want string }{
		{"all given fields must match", "tv-1", "Kodi 21", "tv"},
		{"the first that fits wins", "tv-1", "", "box"},
		{"a field that is not given is not looked at", "x", "kodi", "kodi"},
		{"one without patterns fits nothing", "", "", "unknown"},
	} {
		if got := ms.Platform(Subject{Resource: tt.resource, Client: tt.client}); got != tt.want {
			t.Errorf("%s: got %s, want %s", tt.words, got, tt.want)
		}
	}
}

func TestShippedPlatformsAreACopy(t *testing.T) {
	t.Parallel()
	pl, want := ShippedPlatforms(), ShippedPlatforms()
	pl.Matchers[0] = Matcher{}
	pl.Groups["mobile"][0] = "x"
	if diff := cmp.Diff(want, ShippedPlatforms()); diff != "" {
		t.Error(diff)
	}
}

func TestGlob(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct {
		pattern, text string
		want          bool
	}{
		{"", "", true},
		{"", "a", false},
		{"*", "", true},
		{"*", "anything", true},
		{"**", "a", true},
		{"?", "", false},
		{"?", "語", true},
		{"?", "ab", false},
		{"a*c", "abbbc", true},
		{"a*c", "abbb", false},
		{"*b*b*", "abab", true},
		{"*ab", "aab", true},
		{"a?c", "AbC", true},
		{"[a]", "a", false},
		{"語*", "語x", true},
		{"*?", "", false},
		{"a*?b", "ab", false},
		{"a*?b", "axxb", true},
	} {
		if got := Glob(tt.pattern, tt.text); got != tt.want {
			t.Errorf("Glob(%q, %q) = %v", tt.pattern, tt.text, got)
		}
	}
}

func TestGlobDoesNotExplode(t *testing.T) {
	t.Parallel()
	pattern, text := strings.Repeat("*a", 500)+"b", strings.Repeat("a", 1023)
	begin := time.Now()
	if Glob(pattern, text) {
		t.Error("matched")
	}
	if d := time.Since(begin); d > time.Second {
		t.Errorf("took %v", d)
	}
}

func FuzzGlob(f *testing.F) {
	f.Add("android-*", "Android-7f")
	f.Add("*a*b?", "xaybz")
	f.Add("**??*", "語")
	f.Add("a[b]\\*", "a[b]\\")
	f.Add("*\xff", "\xff")
	f.Fuzz(func(t *testing.T, pattern, text string) {
		got := Glob(pattern, text)
		if !utf8.ValidString(pattern) || !utf8.ValidString(text) || len(pattern) > 200 {
			return
		}
		want := strings.NewReplacer(`\*`, `.*`, `\?`, `.`).Replace(regexp.QuoteMeta(lowerASCII(pattern)))
		if matched := regexp.MustCompile(`(?s)\A` + want + `\z`).MatchString(lowerASCII(text)); got != matched {
			t.Fatalf("Glob(%q, %q) = %v", pattern, text, got)
		}
	})
}

func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if r < utf8.RuneSelf {
			return rune(lower(byte(r)))
		}
		return r
	}, s)
}

func TestIdentity(t *testing.T) {
	t.Parallel()
	ms := Matchers{{Platform: "bot", Identity: "client/bot"}, {Platform: "web", Identity: "CLIENT/w*", Resource: "a*"}, {Platform: "pc", Resource: "pc"}}
	for _, tt := range []struct {
		client, resource string
		want             string
		hinges           bool
	}{
		{"Acme (Linux) client/bot", "x", "bot", false},
		{"client/bot", "x", "bot", false},
		{"Acme client/botany", "x", "unknown", true},
		{"client/bot Acme", "x", "unknown", true},
		{"Acme client/web", "abc", "web", true},
		{"Acme client/web", "xyz", "unknown", true},
		{"", "pc", "pc", true},
		{"", "x", "unknown", true},
	} {
		s := Subject{Resource: tt.resource, Client: tt.client}
		if got := ms.Platform(s); got != tt.want {
			t.Errorf("%q on %q: %s, want %s", tt.client, tt.resource, got, tt.want)
		}
		if got := ms.Hinges(s); got != tt.hinges {
			t.Errorf("%q on %q: hinges %t", tt.client, tt.resource, got)
		}
	}
	if (Matchers{{Platform: "pc", Resource: "pc*"}, {Platform: "bot", Client: "*bot"}}).Hinges(Subject{Resource: "pc-1"}) {
		t.Error("an earlier matcher has decided")
	}
	if (Matchers{{Platform: "bot", Client: "*bot", Resource: "b*"}}).Hinges(Subject{Resource: "pc-1"}) {
		t.Error("the matcher can never fit")
	}
	for text, want := range map[string]bool{
		`{}`: false, `{"condition":"session.secure"}`: false, `{"condition":"session.client != 'x'"}`: true, `{"exempt":[{"account":"a@b"}]}`: false,
		`{"exempt":[{"identity":"client/bot","trust_client_claims":true}]}`: true,
	} {
		r, err := Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		rule := Merge(LevelRule{LevelDefault, r})
		if got := rule.MindsClient(); got != want {
			t.Errorf("%s: %t", text, got)
		}
	}
	if _, err := Parse([]byte(`{"exempt":[{"identity":"client/bot"}]}`)); err == nil || !strings.Contains(err.Error(), "trust_client_claims") {
		t.Errorf("%v", err)
	}
}
