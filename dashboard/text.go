package dashboard

import (
	"fmt"
	"html/template"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Whatever others have chosen (JIDs, resources, names of devices and clients, texts, reasons) is shown by these. What cannot be seen, or would change the order
// or the place of what is around it, is written as its code point; a direction of writing stays within.

const (
	clipRunes    = 40 // of a text in a table: so many are shown
	clipTail     = 10 // of them at its end
	maxMarks     = 3  // combining marks upon one letter
	replacement  = utf8.RuneError
	leftOutSign  = "…"
	maxTextRunes = 4096
)

// unseen reports whether a character of a text has to be written as its code point.
func unseen(r rune, marks int) bool {
	return r == replacement || !unicode.IsPrint(r) || unicode.Is(unicode.Mn, r) && marks > maxMarks || blank(r)
}

// blank characters are printable and have no ink.
func blank(r rune) bool {
	switch r {
	case 0x115f, 0x1160, 0x3164, 0xffa0, 0x2800, 0x034f, 0x17b4, 0x17b5:
		return true
	}
	return r >= 0xfe00 && r <= 0xfe0f || r >= 0xe0100 && r <= 0xe01ef // variation selectors
}

// pieces calls seen for each run of characters that may be shown, and hidden for each that may not.
func pieces(s string, seen func(string), hidden func(string)) {
	start, marks, empty := 0, 0, strings.TrimSpace(s) == "" // of spaces alone: each is shown
	for i, r := range s {
		if unicode.Is(unicode.Mn, r) {
			marks++
		} else {
			marks = 0
		}
		if !empty && !unseen(r, marks) {
			continue
		}
		if i > start {
			seen(s[start:i])
		}
		size := utf8.RuneLen(r)
		if r == replacement {
			_, size = utf8.DecodeRuneInString(s[i:])
		}
		hidden(fmt.Sprintf("U+%04X", r))
		start = i + size
	}
	if start < len(s) {
		seen(s[start:])
	}
}

// visible returns a text as plain text, for attributes and titles.
func visible(s string) string {
	var b strings.Builder
	pieces(s, func(t string) { b.WriteString(t) }, func(code string) { b.WriteString("⟨" + code + "⟩") })
	return b.String()
}

// marked returns a text as HTML.
func marked(s string) string {
	var b strings.Builder
	pieces(s, func(t string) { b.WriteString(template.HTMLEscapeString(t)) },
		func(code string) { b.WriteString(`<span class="unseen-char">` + code + `</span>`) })
	return b.String()
}

// whole shows a text in full; what is longer than any JID is cut.
func whole(s string) template.HTML {
	if s == "" {
		return `<span class="none">–</span>`
	}
	head, _, cut := shorten(s, maxTextRunes, 0)
	if cut {
		head += leftOutSign
	}
	return template.HTML(`<bdi class="whole">` + marked(head) + `</bdi>`) //nolint:gosec // marked escapes
}

// clip shows a text within a line: the middle of a long one is left out, and is in the title. It may stand within a link or a button.
func clip(s string) template.HTML {
	if s == "" {
		return `<span class="none">–</span>`
	}
	head, tail, cut := shorten(s, clipRunes, clipTail)
	if !cut {
		return template.HTML(`<bdi>` + marked(s) + `</bdi>`) //nolint:gosec // marked escapes
	}
	return template.HTML(`<bdi title="` + template.HTMLEscapeString(visible(s)) + `">` + marked(head) + `<span class="cut">` + leftOutSign + `</span>` + marked(tail) + `</bdi>`) //nolint:gosec // marked escapes
}

// text shows a text like clip; a long one opens when it is clicked. It may not stand within a link or a button.
func text(s string) template.HTML {
	if _, _, cut := shorten(s, clipRunes, clipTail); !cut {
		return clip(s)
	}
	return `<details class="long"><summary>` + clip(s) + `</summary>` + whole(s) + `</details>`
}

// shorten splits a text of more than limit characters into its beginning and its end, of so many characters.
func shorten(s string, limit, tail int) (head, end string, cut bool) {
	n := utf8.RuneCountInString(s)
	if n <= limit {
		return s, "", false
	}
	at := func(count int) int { // the byte at which the character begins
		for i := range s {
			if count == 0 {
				return i
			}
			count--
		}
		return len(s)
	}
	return s[:at(limit-tail-1)], s[at(n-tail):], true
}
