package dashboard

import (
	"net/http"
	"slices"

	"golang.org/x/text/language"
)

const (
	languageCookie = "bindgate_lang"
	themeCookie    = "bindgate_theme"
	year           = 365 * 24 * 3600 // seconds
)

// languages are those of the texts; the first is for readers of all others.
var languages = []string{"en", "ja", "zh"}

// languageNames are what each language calls itself.
var languageNames = map[string]string{"en": "English", "ja": "日本語", "zh": "简体中文"}

// languageTags are what pages say of themselves.
var languageTags = map[string]string{"en": "en", "ja": "ja", "zh": "zh-Hans"}

var languageMatcher = language.NewMatcher([]language.Tag{language.English, language.Japanese, language.SimplifiedChinese})

// languageOf is the language that a reader has chosen, else the best of those that the browser asks for.
func languageOf(r *http.Request) string {
	if c, err := r.Cookie(languageCookie); err == nil && slices.Contains(languages, c.Value) {
		return c.Value
	}
	wanted, _, err := language.ParseAcceptLanguage(r.Header.Get("Accept-Language"))
	if err != nil || len(wanted) == 0 {
		return languages[0]
	}
	_, i, _ := languageMatcher.Match(wanted...)
	return languages[i]
}

func themeOf(r *http.Request) string {
	if c, err := r.Cookie(themeCookie); err == nil && (c.Value == "light" || c.Value == "dark") {
		return c.Value
	}
	return ""
}

// prefer keeps a reader's language or theme and goes back to the page.
func (d *Dashboard) prefer(v *visit) error {
	if lang := v.form("lang"); slices.Contains(languages, lang) {
		http.SetCookie(v.w, v.cookie(languageCookie, lang, year))
	}
	switch theme := v.form("theme"); theme {
	case "light", "dark":
		http.SetCookie(v.w, v.cookie(themeCookie, theme, year))
	case "auto":
		http.SetCookie(v.w, v.cookie(themeCookie, "", -1))
	}
	return v.redirect(localPath(v.form("to"), Root))
}
