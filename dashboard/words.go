package dashboard

import (
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"github.com/BurntSushi/toml"
)

//go:embed locale/*.toml
var localeFiles embed.FS

// phrase is a text in every language. {0}, {1}, … stand for what is put in. One is the English of a phrase whose {0} is the number 1.
type phrase struct {
	text map[string]string
	one  string
}

// words are all texts, by key: the name of their file, a dot, and the name of their table.
type words struct {
	phrases map[string]phrase
	script  map[string]string // those that the script needs, as JSON, by language
}

// scriptKeys are what the script says.
var scriptKeys = []string{
	"common.time.now", "common.time.ago", "common.time.in", "common.span.second", "common.span.minute", "common.span.hour", "common.span.day", "common.fresh.live", "common.fresh.ago",
	"common.live.new",
}

// newWords reads the texts. A file has a table for each, with the languages side by side:
//
//	[kick.done]
//	one = "{0} session was ended."
//	en = "{0} sessions were ended."
//	ja = "…"
//	zh = "…"
func newWords() (*words, error) {
	w := &words{map[string]phrase{}, map[string]string{}}
	files, err := localeFiles.ReadDir("locale")
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		var tree map[string]any
		if _, err := toml.DecodeFS(localeFiles, "locale/"+f.Name(), &tree); err != nil {
			return nil, fmt.Errorf("%s: %w", f.Name(), err)
		}
		if err := w.add(strings.TrimSuffix(path.Base(f.Name()), ".toml"), tree); err != nil {
			return nil, err
		}
	}
	for _, lang := range languages {
		texts := map[string]string{}
		for _, key := range scriptKeys {
			if !w.has(key) {
				return nil, fmt.Errorf("%s is missing", key)
			}
			texts[key] = w.phrases[key].text[lang]
		}
		b, err := json.Marshal(texts)
		if err != nil {
			return nil, err
		}
		w.script[lang] = string(b)
	}
	return w, nil
}

func (w *words) add(key string, tree map[string]any) error {
	p := phrase{text: map[string]string{}}
	for name, value := range tree {
		switch value := value.(type) {
		case map[string]any:
			if err := w.add(key+"."+name, value); err != nil {
				return err
			}
		case string:
			switch {
			case value == "":
				return fmt.Errorf("%s: %s is empty", key, name)
			case name == "one":
				p.one = value
			case slices.Contains(languages, name):
				p.text[name] = value
			default:
				return fmt.Errorf("%s: %s is no language", key, name)
			}
		default:
			return fmt.Errorf("%s: %s is no text", key, name)
		}
	}
	if len(p.text) == 0 && p.one == "" {
		return nil
	}
	for _, lang := range languages {
		if p.text[lang] == "" {
			return fmt.Errorf("%s: the text in %s is missing", key, lang)
		}
		if have, want := marks(p.text[lang]), marks(p.text[languages[0]]); !slices.Equal(have, want) {
			return fmt.Errorf("%s: %s has %v, %s has %v", key, lang, have, languages[0], want)
		}
	}
	w.phrases[key] = p
	return nil
}

// unknownText stands where a text is missing, which is an error of the program.
func unknownText(key string) string { return "⟦" + key + "⟧" }

var placeholder = regexp.MustCompile(`\{[a-z0-9_]+\}`)

// marks are the places in a text where something is put in.
func marks(text string) []string {
	found := placeholder.FindAllString(text, -1)
	slices.Sort(found)
	return slices.Compact(found)
}

func (w *words) has(key string) bool {
	_, ok := w.phrases[key]
	return ok
}

// say returns a text with its arguments put in: plain text, or HTML if one of them is. See unknownText for a key that is not there.
func (w *words) say(lang, key string, args ...any) any {
	p, ok := w.phrases[key]
	if !ok {
		return unknownText(key)
	}
	text := p.text[lang]
	if len(args) == 0 {
		return text
	}
	for i, a := range args {
		if n, ok := a.(*int); ok { // of a field that may be null
			args[i] = *n
		}
	}
	if p.one != "" && lang == languages[0] && len(args) > 0 && fmt.Sprint(args[0]) == "1" {
		text = p.one
	}
	pairs := make([]any, 0, 2*len(args))
	for i, a := range args {
		pairs = append(pairs, strconv.Itoa(i), a)
	}
	return fill(lang, text, pairs)
}

// named is say for texts with names in braces; names and values alternate. The English for one is told by the first value.
func (w *words) named(lang, key string, pairs ...any) any {
	p, ok := w.phrases[key]
	if !ok {
		return unknownText(key)
	}
	text := p.text[lang]
	if p.one != "" && lang == languages[0] && len(pairs) > 1 && fmt.Sprint(pairs[1]) == "1" {
		text = p.one
	}
	return fill(lang, text, pairs)
}

// fill puts values in where their names are in braces. Japanese and Chinese have spaces around what is Latin or a number: where a value ends, or begins, as the text
// around it is written, the space goes.
func fill(lang, text string, values []any) any {
	html := slices.ContainsFunc(values, func(a any) bool { _, ok := a.(template.HTML); return ok })
	if html {
		text = template.HTMLEscapeString(text)
	}
	pairs := make([]string, 0, len(values))
	for i := 0; i+1 < len(values); i += 2 {
		var s string
		switch a := values[i+1].(type) {
		case template.HTML:
			s = string(a)
		case int:
			s = number(int64(a))
		case int64:
			s = number(a)
		default:
			s = visible(fmt.Sprint(a))
		}
		if _, ok := values[i+1].(template.HTML); html && !ok {
			s = template.HTMLEscapeString(s)
		}
		name := "{" + fmt.Sprint(values[i]) + "}"
		if lang != languages[0] {
			if r, _ := utf8.DecodeLastRuneInString(s); wideRune(r) {
				text = strings.ReplaceAll(text, name+" ", name)
			}
			if r, _ := utf8.DecodeRuneInString(s); wideRune(r) {
				text = strings.ReplaceAll(text, " "+name, name)
			}
		}
		pairs = append(pairs, name, s)
	}
	text = strings.NewReplacer(pairs...).Replace(text)
	if html {
		return template.HTML(text) //nolint:gosec // escaped above
	}
	return text
}

// wideRune reports whether a character is one of Japanese or Chinese.
func wideRune(r rune) bool {
	return unicode.In(r, unicode.Han, unicode.Hiragana, unicode.Katakana) || 0x3000 <= r && r <= 0x303f || 0xff00 <= r && r <= 0xff60
}

// t returns a text in the visitor's language, as plain text.
func (v *visit) t(key string, args ...any) string {
	return fmt.Sprint(v.d.words.say(v.lang, key, args...))
}

// label returns the name of one of a closed set's values, such as a state's ("state", "active"); a value that a newer bindgate has stands for itself.
func (w *words) label(lang, set, value string) string {
	if key := "common." + set + "." + value; w.has(key) {
		return fmt.Sprint(w.say(lang, key))
	}
	return visible(value)
}
