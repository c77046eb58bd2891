package rules

import (
	"encoding/xml"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/text/language"
)

func TestRender(t *testing.T) {
	t.Parallel()
	known := Placeholders{Platform: "android", Device: "Pixel", Time: time.Date(2026, 11, 23, 17, 0, 30, 0, time.FixedZone("JST", 9*3600)), Seconds: 42}
	own := map[string]map[string]string{
		"takeover": {
			"fr":    "Remplacé par {device} ({platform}) à {time} : {seconds}",
			"pt-BR": "Substituído por {device}",
			"ja":    "{device}に交代しました",
			"zh":    "被{device}取代",
		},
		"kick": {"en": "Bye, {device}. {nothing} {"},
	}
	tests := []struct {
		words string
		code  string
		langs []string
		p     Placeholders
		text  string
		lang  string
	}{
		{"English, all known", "takeover", list{"en"}, known, "You have been signed out: this account was signed in on another device, Pixel (android), at 2026-11-23 08:00 UTC.", "en"},
		{"no wish: English", "takeover", nil, known, "You have been signed out: this account was signed in on another device, Pixel (android), at 2026-11-23 08:00 UTC.", "en"},
		{"nothing known", "takeover", list{"en"}, Placeholders{}, "You have been signed out: this account was signed in on another device.", "en"},
		{"only the time known", "takeover", list{"en"}, Placeholders{Time: known.Time, Platform: "unknown"}, "You have been signed out: this account was signed in on another device at 2026-11-23 08:00 UTC.", "en"},
		{"no device, but a platform", "takeover", list{"en"}, Placeholders{Time: known.Time, Platform: "web"}, "You have been signed out: this account was signed in on another device (web) at 2026-11-23 08:00 UTC.", "en"},
		{"the shipped texts of a code that the operator left alone", "expired", list{"ja-JP"}, known, "セッションの有効期限が切れました。もう一度ログインしてください。", "ja"},
		{"a region and a script are dropped", "expired", list{"zh-Hans-CN"}, known, "登录已过期，请重新登录。", "zh"},
		{"letters and underscores of all sorts", "expired", list{" ZH_cn "}, known, "登录已过期，请重新登录。", "zh"},
		{"the first wish that fits", "expired", list{"", "tlh", "ja", "zh"}, known, "セッションの有効期限が切れました。もう一度ログインしてください。", "ja"},
		{"a later wish before English", "expired", list{"de", "de-AT", "zh"}, known, "登录已过期，请重新登录。", "zh"},
		{"nonsense is passed over", "expired", list{"-", "--", "*", "\x00\xff", "e n", strings.Repeat("zh-", 3500), "ja"}, known, "セッションの有効期限が切れました。もう一度ログインしてください。", "ja"},
		{"nothing but nonsense: English", "expired", list{"-", "\x00"}, known, "Your session has expired. Please sign in again.", "en"},
		{"a wait that is known", "cooldown", list{"zh"}, known, "此账号刚刚在另一台设备上登录，或已在本设备下线，请在 42 秒后重试。", "zh"},
		{"a wait that is not", "cooldown", list{"zh"}, Placeholders{}, "此账号刚刚在另一台设备上登录，或已在本设备下线，请稍后重试。", "zh"},

		{"the operator's language", "takeover", list{"fr-CA"}, known, "Remplacé par Pixel (android) à 2026-11-23 08:00 UTC : 42", "fr"},
		{"the operator's text before the shipped one", "takeover", list{"ja"}, known, "Pixelに交代しました", "ja"},
		{"the operator's tag as it was given", "takeover", list{"pt-br"}, known, "Substituído por Pixel", "pt-BR"},
		{"a wish does not match a narrower text", "takeover", list{"pt"}, Placeholders{}, "You have been signed out: this account was signed in on another device.", "en"},
		{"the operator's English, also when no wish fits; what is no placeholder stays", "kick", list{"de"}, known, "Bye, Pixel. {nothing} {", "en"},
		{"an unknown device has a word: ja", "takeover", list{"ja"}, Placeholders{}, "別の端末に交代しました", "ja"},
		{"an unknown device has a word: zh", "takeover", list{"zh"}, Placeholders{}, "被另一台设备取代", "zh"},
		{"an unknown device has a word: en", "kick", list{"en"}, Placeholders{}, "Bye, another device. {nothing} {", "en"},
		{"in other languages a gap closes", "takeover", list{"fr"}, Placeholders{Platform: "web"}, "Remplacé par (web) à :", "fr"},

		{"a value is not a text: no placeholders in it", "takeover", list{"pt-BR"}, Placeholders{Device: "{time}"}, "Substituído por {time}", "pt-BR"},
		{"a value cannot turn the text around, nor break XML", "takeover", list{"pt-BR"}, Placeholders{Device: "\u202eA\u2066\x00\x1b\n\uffff\xff \u2028B\u200f "}, "Substituído por A B", "pt-BR"},
		{"a value that is nothing after that is not known", "takeover", list{"en"}, Placeholders{Device: "\u202e\x00", Time: known.Time}, "You have been signed out: this account was signed in on another device at 2026-11-23 08:00 UTC.", "en"},
		{"a value of 64 characters fits", "takeover", list{"pt-BR"}, Placeholders{Device: strings.Repeat("語", 64)}, "Substituído por " + strings.Repeat("語", 64), "pt-BR"},
		{"a longer one is cut", "takeover", list{"pt-BR"}, Placeholders{Device: strings.Repeat("語", 10_000)}, "Substituído por " + strings.Repeat("語", 63) + "…", "pt-BR"},

		{"a code that nobody has a text for", "nonsense", list{"en"}, known, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.words, func(t *testing.T) {
			t.Parallel()
			text, lang := Render(own, tt.code, tt.langs, tt.p)
			if diff := cmp.Diff([]string{tt.text, tt.lang}, []string{text, lang}); diff != "" {
				t.Errorf("-want +got:\n%s", diff)
			}
		})
	}
}

func TestEveryCodeHasAGoodTextInEveryLanguage(t *testing.T) {
	t.Parallel()
	if diff := cmp.Diff(slices.Sorted(slices.Values(TextCodes())), slices.Sorted(maps.Keys(shippedTexts))); diff != "" {
		t.Fatal(diff)
	}
	full := Placeholders{Platform: "android", Device: "Pixel", Time: eight, Seconds: 5}
	seen := map[string]string{}
	for _, code := range TextCodes() {
		for _, lang := range []string{"en", "ja", "zh"} {
			for _, p := range []Placeholders{{}, full, {Device: "Pixel"}, {Platform: "web", Time: eight}} {
				text, got := Render(nil, code, []string{lang}, p)
				if got != lang || text == "" || strings.ContainsAny(text, "{}") || strings.Contains(text, "  ") || strings.Contains(text, "()") {
					t.Errorf("%s %s %+v: %q (%s)", code, lang, p, text, got)
				}
				if lang == "en" != (strings.IndexFunc(text, func(r rune) bool { return r > unicode.MaxLatin1 }) < 0) {
					t.Errorf("%s %s: %q is not in its language", code, lang, text)
				}
				if where := code + " " + lang; seen[text] != "" && seen[text] != where {
					t.Errorf("%s and %s say the same", seen[text], where)
				} else {
					seen[text] = where
				}
			}
			for _, wording := range shippedTexts[code][lang] {
				if problem := checkText(wording); problem != "" {
					t.Errorf("%s %s %q: %s", code, lang, wording, problem)
				}
			}
		}
	}
}

func TestRenderIsTheSameEachTime(t *testing.T) {
	t.Parallel()
	// Parse refuses two tags for one language; a record may hold them all the same.
	own := map[string]map[string]string{"kick": {"EN": "a", "En": "b", "en": "c", "eN": "d"}}
	for range 50 {
		if text, lang := Render(own, "kick", []string{"en-GB"}, Placeholders{}); text != "a" || lang != "EN" {
			t.Fatalf("got %s %s", text, lang)
		}
	}
}

func FuzzRender(f *testing.F) {
	f.Add("takeover", "Replaced by {device} ({platform}) at {time}", "fr", "fr-CA", "", "Pixel", "android", 0)
	f.Add("cooldown", "{seconds}{seconds}", "zh-Hant", "zh-Hant-TW", "ja", "\u202e\x00", "unknown", 3600)
	f.Add("limit", "{", "en", "-", "x-", strings.Repeat("語", 100), "<&>]]>", -1)
	f.Add("kick", strings.Repeat("{device}", 125), "en", "*", "en_US", strings.Repeat("a", 64), "", 1)
	f.Add("nonsense", "\xff\u2028", "\xff", "\xff", strings.Repeat("zh-", 3500), "{time}", "", 1)
	f.Fuzz(func(t *testing.T, code, own, ownLang, first, second, device, platform string, seconds int) {
		p := Placeholders{Platform: platform, Device: device, Time: eight, Seconds: seconds}
		text, lang := Render(map[string]map[string]string{code: {ownLang: own}}, code, []string{first, second}, p)
		if !utf8.ValidString(text) || utf8.RuneCountInString(text) > 2*maxText || strings.IndexFunc(text, unicode.IsControl) >= 0 {
			t.Fatalf("text %q", text)
		}
		var b strings.Builder
		if err := xml.EscapeText(&b, []byte(text)); err != nil || strings.ContainsRune(b.String(), utf8.RuneError) && !strings.ContainsRune(own, utf8.RuneError) {
			t.Fatalf("not fit for XML: %q", text)
		}
		if lang != "" && lang != ownLang {
			if _, err := language.Parse(lang); err != nil {
				t.Fatalf("lang %q", lang)
			}
		}
		if slices.Contains(TextCodes(), code) && lang == "" {
			t.Fatalf("no text for %s", code)
		}
		if v := clean(device); clean(v) != v || utf8.RuneCountInString(v) > maxRunes || strings.ContainsFunc(v, bidiControl) {
			t.Fatalf("clean(%q) = %q", device, v)
		}
	})
}
