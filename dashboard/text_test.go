package dashboard

import (
	"fmt"
	"html/template"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestHostileText(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ in, want string }{
		{"plain ü 界", "plain ü 界"},
		{"", ""},
		{"a\u202eb", "a⟨U+202E⟩b"},
		{"\x00\x1b\n", "⟨U+0000⟩⟨U+001B⟩⟨U+000A⟩"},
		{"a\u200db", "a⟨U+200D⟩b"},
		{"\xff", "⟨U+FFFD⟩"},
		{"\ufffd!", "⟨U+FFFD⟩!"},
		{" ", "⟨U+0020⟩"},
		{"\u3164", "⟨U+3164⟩"},
		{"e\u0301", "e\u0301"},
		{"z" + strings.Repeat("\u0301", 5), "z\u0301\u0301\u0301⟨U+0301⟩⟨U+0301⟩"},
	} {
		if got := visible(c.in); got != c.want {
			t.Errorf("%q is shown as %q, want %q", c.in, got, c.want)
		}
	}
	if got := string(clip(`<b>"&`)); got != `<bdi>&lt;b&gt;&#34;&amp;</bdi>` {
		t.Error(got)
	}
	long := strings.Repeat("界", 100)
	if got := string(clip(long)); !strings.Contains(got, `title="`+long+`"`) || strings.Count(got, "界") != 100+clipRunes-1 {
		t.Error(got)
	}
	if got := string(text(long)); !strings.HasPrefix(got, "<details") {
		t.Error(got)
	}
}

func TestNumbers(t *testing.T) {
	t.Parallel()
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", -1234567: "-1,234,567", 1000000: "1,000,000"} {
		if got := number(n); got != want {
			t.Errorf("%d is %s, want %s", n, got, want)
		}
	}
}

func TestRelativeTimes(t *testing.T) {
	t.Parallel()
	w, err := newWords()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	for ago, want := range map[time.Duration]string{
		0: "just now", 59 * time.Second: "59 s ago", 60 * time.Second: "1 min ago", 47 * time.Hour: "47 h ago", 48 * time.Hour: "2 d ago", -90 * time.Minute: "in 1 h",
	} {
		if got := w.relative("en", now, now.Add(-ago)); got != want {
			t.Errorf("%s ago is %q, want %q", ago, got, want)
		}
	}
}

func TestLanguages(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{"": "en", "fr": "en", "ja-JP,en;q=0.5": "ja", "zh-CN": "zh", "zh-TW": "zh", "de,ja;q=0.3": "ja", "!!": "en"} {
		r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/", nil)
		r.Header.Set("Accept-Language", header)
		if got := languageOf(r); got != want {
			t.Errorf("%q gets %s, want %s", header, got, want)
		}
		r.AddCookie(&http.Cookie{Name: languageCookie, Value: "zh"})
		if got := languageOf(r); got != "zh" {
			t.Errorf("who has chosen gets %s", got)
		}
	}
}

func TestLocalPath(t *testing.T) {
	t.Parallel()
	for to, want := range map[string]string{
		"/dashboard": "/dashboard", "/dashboard/account?jid=a%40b%2Fc": "/dashboard/account?jid=a%40b%2Fc", "": "-", "/": "-", "/dashboards": "-", "//evil/dashboard": "-",
		"https://evil/dashboard": "-", "/dashboard/../x": "-", "/dashboard//evil": "-", "/dashboard/%2e%2e/x": "-", `/dashboard\x`: "-", "/dashboard/\r\nSet-Cookie: x": "-", "javascript:1": "-",
	} {
		if got := localPath(to, "-"); got != want {
			t.Errorf("%q leads to %q, want %q", to, got, want)
		}
	}
}

// Spaces stand around what is Latin, or a number, and not where two Japanese pieces meet.
func TestPiecesMeetAsTheLanguageIsWritten(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		lang, text string
		value      any
		want       string
	}{
		{"ja", "同時に {0} まで", template.HTML("<bdi>mobile</bdi> は 1 件"), "同時に <bdi>mobile</bdi> は 1 件まで"},
		{"ja", "あと {0} 待つ", "30秒", "あと 30秒待つ"},
		{"ja", "同時に {0} まで", "三台", "同時に三台まで"},
		{"ja", "同時に {0} セッション", 3, "同時に 3 セッション"},
		{"zh", "{0} 前", "5 分钟", "5 分钟前"},
		{"en", "so {0} is", "三", "so 三 is"},
	} {
		if got := fmt.Sprint(fill(c.lang, c.text, []any{"0", c.value})); got != c.want {
			t.Errorf("%s: %q, want %q", c.lang, got, c.want)
		}
	}
}
