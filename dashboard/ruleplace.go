package dashboard

import (
	"strconv"
	"strings"

	"github.com/bindgate/bindgate/client"
	"github.com/bindgate/bindgate/rules"
)

// refuse notes what the API said about the form's rule at the input that it is about.
func (f *ruleForm) refuse(e *client.Error) {
	input := f.place(e.Field)
	if _, ok := f.Wrong[input]; !ok {
		f.Wrong[input] = &formProblem{Detail: e.Detail}
	}
}

// place returns the name of the input that a JSON pointer of the API is about, in a rule or in a request that has one; "": of none alone.
func (f *ruleForm) place(pointer string) string {
	pointer = strings.TrimPrefix(pointer, "/rule")
	steps := strings.Split(strings.TrimPrefix(pointer, "/"), "/")
	for i, s := range steps {
		steps[i] = strings.NewReplacer("~1", "/", "~0", "~").Replace(s)
	}
	if steps[0] == "expires_at" {
		return "expires.at"
	}
	ff := f.field(steps[0])
	switch {
	case ff.Name == "":
		return ""
	case !ff.Listed():
		return ff.Name
	}
	if input := ff.placeOfRow(steps[1:]); input != "" {
		return input
	}
	return ff.Input("mode")
}

// placeOfRow finds the row, and its cell, that the rest of a pointer is about.
func (ff *fieldForm) placeOfRow(steps []string) string {
	if len(steps) == 0 {
		return ""
	}
	switch ff.Kind {
	case kindLimits:
		for i, row := range ff.Rows {
			if name := strings.TrimSpace(row[0].Value); name == steps[0] || strings.HasSuffix(steps[0], "…") && strings.HasPrefix(name, strings.TrimSuffix(steps[0], "…")) {
				if n, err := strconv.ParseInt(strings.TrimSpace(row[1].Value), 10, 64); err == nil && 1 <= n && n <= mostOfPreset {
					return ff.RowInput(i, "platform")
				}
				return ff.RowInput(i, "n")
			}
		}
	case kindSets, kindMatchers:
		i, err := strconv.Atoi(steps[0])
		if err != nil || i < 0 || i >= len(ff.Rows) {
			return ""
		}
		for _, c := range ff.Rows[i] {
			if len(steps) > 1 && c.Name == steps[1] {
				return ff.RowInput(i, c.Name)
			}
		}
		return ff.RowInput(i, ff.rowCells()[0])
	case kindTexts:
		for i, row := range ff.Rows {
			lang := strings.TrimSpace(row[1].Value)
			if row[0].Value != steps[0] || len(steps) > 1 && !strings.HasPrefix(lang, strings.TrimSuffix(steps[1], "…")) {
				continue
			}
			if rules.LanguageTag(lang) {
				return ff.RowInput(i, "text")
			}
			return ff.RowInput(i, "lang")
		}
	case kindCount, kindSpan, kindChoice, kindCondition:
	}
	return ""
}
