package rules

import (
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// Placeholders are the values a text may speak of. Everything in it may come from a client and is not trusted.
type Placeholders struct {
	Platform string    // {platform}; "unknown" counts as not known in the shipped texts
	Device   string    // {device}
	Time     time.Time // {time}, said in UTC as 2026-11-23 08:00 UTC
	Seconds  int       // {seconds}; 0: not known
}

// TextCodes are the codes that have a text: of sessions that end, then of denials, then of notices. "blocked" is both of the first.
func TextCodes() []string {
	return []string{
		"takeover", "kick", "rule", "expired", "blocked",
		"limit", "same_resource", "cooldown", "frozen", "grant_required", "condition", "choose", "unavailable",
		"new_login",
	}
}

// Render says a code in words for the person at the other end, and in which language (a BCP 47 tag). langs are wishes, the
// strongest first: of the stream, the account, the domain; any of them may be empty or nonsense. Each is matched by RFC 4647 lookup
// (zh-Hans-CN, zh-Hans, zh), against the operator's texts (code → language → text) and then the shipped ones (en, ja, zh); what fits
// nowhere gets English. The text is fit for XML 1.0, without control characters, and bounded: values to 64 characters
// each. A code that neither the operator nor bindgate has a text for gives two empty strings.
func Render(overrides map[string]map[string]string, code string, langs []string, p Placeholders) (text, lang string) {
	own, shipped := overrides[code], shippedTexts[code]
	for _, wish := range langs {
		if len(wish) > maxTag {
			continue
		}
		for tag := strings.TrimSpace(wish); tag != ""; tag = parentTag(tag) {
			if text, lang, ok := say(own, shipped, tag, p); ok {
				return text, lang
			}
		}
	}
	text, lang, _ = say(own, shipped, "en", p)
	return text, lang
}

const (
	maxTag  = 100 // bytes; RFC 5646 §4.4.1 asks for 35
	maxText = 1000
)

// parentTag drops a tag's last subtag. Clients also write en_US.
func parentTag(tag string) string {
	i := max(strings.LastIndexByte(tag, '-'), strings.LastIndexByte(tag, '_'))
	return tag[:max(i, 0)]
}

func sameTag(a, b string) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range len(a) {
		x, y := lower(a[i]), lower(b[i])
		if x == '_' {
			x = '-'
		}
		if y == '_' {
			y = '-'
		}
		if x != y {
			return false
		}
	}
	return true
}

func say(own map[string]string, shipped map[string][]string, tag string, p Placeholders) (text, lang string, ok bool) {
	found := ""
	for name := range own {
		if sameTag(name, tag) && (found == "" || name < found) {
			found = name
		}
	}
	if found != "" {
		return fill(own[found], p, found), found, true
	}
	for _, name := range [...]string{"en", "ja", "zh"} {
		if !sameTag(name, tag) {
			continue
		}
		known := p
		if strings.EqualFold(known.Platform, unknownPlatform) {
			known.Platform = ""
		}
		for _, text := range shipped[name] {
			if filled, ok := expand(text, known); ok {
				return filled, name, true
			}
		}
	}
	return "", "", false
}

// fill says an operator's text. There is but one for a code and a language: an unknown device gets a word in its stead.
func fill(text string, p Placeholders, lang string) string {
	if clean(p.Device) == "" {
		switch primary, _, _ := strings.Cut(lang, "-"); strings.ToLower(primary) {
		case "en":
			p.Device = "another device"
		case "ja":
			p.Device = "別の端末"
		case "zh":
			p.Device = "另一台设备"
		}
	}
	text, complete := expand(text, p)
	if !complete {
		text = strings.Join(strings.Fields(text), " ")
	}
	return bound(cleanText(text), 2*maxText)
}

// expand puts the values in, in one pass: a value that looks like a placeholder stays as it is. It reports whether all values that the
// text asks for are known.
func expand(text string, p Placeholders) (string, bool) {
	if strings.IndexByte(text, '{') < 0 {
		return text, true
	}
	complete := true
	b := make([]byte, 0, len(text)+2*maxRunes)
	for {
		i := strings.IndexByte(text, '{')
		if i < 0 {
			return string(append(b, text...)), complete
		}
		b = append(b, text[:i]...)
		text = text[i:]
		before := len(b)
		var rest string
		var found bool
		if rest, found = strings.CutPrefix(text, "{platform}"); found {
			b = append(b, clean(p.Platform)...)
		} else if rest, found = strings.CutPrefix(text, "{device}"); found {
			b = append(b, clean(p.Device)...)
		} else if rest, found = strings.CutPrefix(text, "{time}"); found {
			if !p.Time.IsZero() {
				b = p.Time.UTC().AppendFormat(b, "2006-01-02 15:04 UTC")
			}
		} else if rest, found = strings.CutPrefix(text, "{seconds}"); found {
			if p.Seconds > 0 {
				b = strconv.AppendInt(b, int64(p.Seconds), 10)
			}
		} else {
			b = append(b, '{')
			text = text[1:]
			continue
		}
		complete = complete && len(b) > before
		text = rest
	}
}

// clean makes a value of foreign origin fit to stand inside a text.
func clean(s string) string {
	plain := len(s) <= maxRunes
	for i := 0; plain && i < len(s); i++ {
		plain = ' ' < s[i] && s[i] < 0x7f
	}
	if plain {
		return s
	}
	var b strings.Builder
	space := false
	for _, r := range bound(s, 16*maxRunes) {
		switch {
		case unicode.IsSpace(r):
			space = b.Len() > 0
		case printable(r) && !bidiControl(r) && r != utf8.RuneError:
			if space {
				b.WriteByte(' ')
				space = false
			}
			b.WriteRune(r)
		}
	}
	cleaned := b.String()
	if utf8.RuneCountInString(cleaned) > maxRunes {
		return bound(cleaned, maxRunes-1) + "…"
	}
	return cleaned
}

// cleanText drops what may not stand in XML or is a control character.
func cleanText(s string) string {
	return strings.Map(func(r rune) rune {
		if printable(r) {
			return r
		}
		return -1
	}, strings.ToValidUTF8(s, ""))
}

// printable reports whether XML 1.0 §2.2 allows r and it is no control character.
func printable(r rune) bool {
	return !unicode.IsControl(r) && (r <= 0xd7ff || 0xe000 <= r && r <= 0xfffd || 0x10000 <= r && r <= unicode.MaxRune)
}

// bidiControl reports whether r may turn the direction of the text around it (UAX #9 §2).
func bidiControl(r rune) bool { return unicode.Is(unicode.Bidi_Control, r) }
