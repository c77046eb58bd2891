package docs

import (
	"html/template"
	"strings"
)

// prose renders a description: paragraphs, lists whose items begin with "- ", and code between backticks. It is all the CommonMark that the contract uses;
// what else a description may hold stays as it is written.
func prose(text string) template.HTML {
	var b strings.Builder
	for _, block := range strings.Split(strings.TrimSpace(text), "\n\n") {
		items, list := strings.CutPrefix(block, "- ")
		switch {
		case strings.TrimSpace(block) == "":
		case list:
			b.WriteString("<ul>")
			for _, item := range strings.Split(items, "\n- ") {
				b.WriteString("<li>" + spans(item) + "</li>")
			}
			b.WriteString("</ul>")
		default:
			b.WriteString("<p>" + spans(block) + "</p>")
		}
	}
	return template.HTML(b.String()) //nolint:gosec // spans escapes
}

// spans renders a line of text with code in it.
func spans(text string) string {
	var b strings.Builder
	for i, part := range strings.Split(text, "`") {
		if part = template.HTMLEscapeString(part); i%2 == 1 {
			part = "<code>" + part + "</code>"
		}
		b.WriteString(part)
	}
	return b.String()
}
