package xmppbridge

import (
	"errors"
	"fmt"
)

const nsData = "jabber:x:data" // XEP-0004

// option is one choice of a list.
type option struct{ label, value string }

// field is a field of a form (XEP-0004 §3.2).
type field struct {
	name     string // empty only for one of type fixed
	kind     string
	label    string
	required bool
	values   []string
	options  []option
}

// form is a form to be filled in, or a result. A result may be a table: columns, and a row for each item (XEP-0004 §3.4).
type form struct {
	kind                string // form, result
	title, instructions string
	fields              []field
	columns             []field
	rows                [][]string // a value for each column
}

func appendElement(b []byte, name, text string) []byte {
	if text == "" {
		return b
	}
	b = append(append(append(b, '<'), name...), '>')
	b = append(append(appendEscaped(b, text), "</"...), name...)
	return append(b, '>')
}

func (f form) append(b []byte) []byte {
	b = append(b, "<x xmlns='"+nsData+"' type='"+f.kind+"'>"...)
	b = appendElement(b, "title", f.title)
	b = appendElement(b, "instructions", f.instructions)
	for _, x := range f.fields {
		b = x.append(b)
	}
	if len(f.columns) > 0 {
		b = append(b, "<reported>"...)
		for _, x := range f.columns {
			b = x.append(b)
		}
		b = append(b, "</reported>"...)
	}
	for _, row := range f.rows {
		b = append(b, "<item>"...)
		for i, value := range row {
			b = appendAttr(append(b, "<field"...), "var", f.columns[i].name)
			b = append(b, "><value>"...)
			b = append(appendEscaped(b, value), "</value></field>"...)
		}
		b = append(b, "</item>"...)
	}
	return append(b, "</x>"...)
}

func (x field) append(b []byte) []byte {
	b = appendWord(append(b, "<field"...), "var", x.name)
	b = appendAttr(b, "type", x.kind)
	b = append(appendWord(b, "label", x.label), '>')
	if x.required {
		b = append(b, "<required/>"...)
	}
	for _, v := range x.values {
		b = append(appendEscaped(append(b, "<value>"...), v), "</value>"...)
	}
	for _, o := range x.options {
		b = append(appendAttr(append(b, "<option"...), "label", o.label), '>')
		b = append(appendElement(b, "value", o.value), "</option>"...)
	}
	return append(b, "</field>"...)
}

// submission is a form as a user filled it in.
type submission struct {
	kind   string // submit, cancel
	values map[string][]string
}

// parseSubmission reads the form in a command; the zero submission if there is none. Fields that nobody asked for are ignored (XEP-0004 §3.2).
func parseSubmission(command *element) (submission, error) {
	var s submission
	for _, x := range command.children {
		if x.name.Space != nsData || x.name.Local != "x" {
			continue
		}
		if s.kind != "" {
			return submission{}, errors.New("more than one form")
		}
		if s.kind = x.attr("type"); s.kind != "submit" && s.kind != "cancel" {
			return submission{}, fmt.Errorf("a form of type %.20q is none that is sent in", s.kind)
		}
		s.values = map[string][]string{}
		for _, f := range x.children {
			if f.name.Space != nsData || f.name.Local != "field" {
				continue
			}
			name := f.attr("var")
			for _, v := range f.children {
				if v.name.Space == nsData && v.name.Local == "value" {
					s.values[name] = append(s.values[name], v.text)
				}
			}
		}
	}
	return s, nil
}

// one is a field's only value.
func (s submission) one(name string) (string, bool) {
	if v := s.values[name]; len(v) == 1 {
		return v[0], true
	}
	return "", false
}
