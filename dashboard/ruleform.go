package dashboard

import (
	"encoding/json"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/bindgate/bindgate/client"
)

// ruleForm is a rule as a form has it: everything as it was typed, so that nothing is lost when some of it is wrong.
//
// Names in the form are those in JSON; what belongs to a field stands behind a dot (max_sessions.mode), a row's cells behind its number (exempt.2.cidr). A
// problem's place is the name of the input that it is about.
type ruleForm struct {
	Fields  []*fieldForm
	Expires expiryForm              // of an account's own rule
	Wrong   map[string]*formProblem // by the name of the input
}

// formProblem is what is wrong with an input: a text's key, or what the API says, in English.
type formProblem struct{ Key, Detail string }

type noteProblem func(input, key string)

// fieldForm is one field of a rule in a form.
type fieldForm struct {
	ruleField
	Mode  string   // modeInherit, modeNone or modeSet; of a choice: modeSet with its Value
	Value string   // a number, a choice's JSON, a condition
	Unit  string   // of kindSpan: one of spanUnits
	Rows  [][]cell // of the kinds that are lists
}

// cell is one input of a row.
type cell struct{ Name, Value string } // Name: account, cidr, …

const (
	modeInherit = ""     // the field is left out: what stands under it speaks
	modeNone    = "none" // no limit, no condition, an empty list
	modeSet     = "set"
)

// rowCells are the cells of a row of each kind of list.
func (f ruleField) rowCells() []string {
	switch f.Kind {
	case kindLimits:
		return []string{"platform", "n"}
	case kindSets:
		return []string{"platforms"} // one a line
	case kindMatchers:
		return []string{"account", "group", "device_id", "cidr", "resource", "client", "identity", "trust_client_claims"}
	case kindTexts:
		return []string{"code", "lang", "text"}
	case kindCount, kindSpan, kindChoice, kindCondition:
	}
	return nil
}

// Listed reports whether the field has rows.
func (f ruleField) Listed() bool { return f.rowCells() != nil }

// Input returns the name of one of the field's inputs.
func (f ruleField) Input(cell string) string { return f.Name + "." + cell }

// RowInput returns the name of a cell of a row.
func (f ruleField) RowInput(row int, cell string) string {
	return f.Name + "." + strconv.Itoa(row) + "." + cell
}

// field returns the form's field of a name that is one.
func (f *ruleForm) field(name string) *fieldForm {
	for _, ff := range f.Fields {
		if ff.Name == name {
			return ff
		}
	}
	return &fieldForm{}
}

// Part returns the fields of a part of the form.
func (f *ruleForm) Part(part string) []*fieldForm {
	var out []*fieldForm
	for _, ff := range f.Fields {
		if ff.ruleField.Part == part {
			out = append(out, ff)
		}
	}
	return out
}

// wrong notes a problem; the first of an input stays.
func (f *ruleForm) wrong(input, key string) {
	if _, ok := f.Wrong[input]; !ok {
		f.Wrong[input] = &formProblem{Key: key}
	}
}

// formOf fills a form with a rule; expires is zero for never.
func formOf(r client.Rule, expires time.Time) (*ruleForm, error) {
	doc, err := docOf(r)
	if err != nil {
		return nil, err
	}
	form := &ruleForm{Wrong: map[string]*formProblem{}, Expires: expiryOf(expires)}
	for _, f := range ruleFieldTable {
		ff := &fieldForm{ruleField: f, Unit: "s"}
		if raw, ok := doc[f.Name]; ok {
			if err := ff.fill(raw); err != nil {
				return nil, err
			}
		}
		form.Fields = append(form.Fields, ff)
	}
	return form, nil
}

// maxRows bounds the rows of a field that are read from a form; the API takes fewer.
const maxRows = 500

// readForm takes a form as it was sent. Rows without anything in them are left out, so that the numbers of rows are those of the API's errors.
func readForm(in url.Values) *ruleForm {
	form := &ruleForm{Wrong: map[string]*formProblem{}, Expires: readExpiry(in)}
	for _, f := range ruleFieldTable {
		ff := &fieldForm{ruleField: f, Unit: in.Get(f.Input("unit"))}
		switch f.Kind {
		case kindChoice:
			ff.Value = in.Get(f.Name)
			ff.Mode = modeSet
			if ff.Value == "" {
				ff.Mode = modeInherit
			}
		default:
			ff.Mode = in.Get(f.Input("mode"))
			ff.Value = lines(in.Get(f.Name))
		}
		for row := 0; row < maxRows && f.Listed(); row++ {
			if _, ok := in[f.RowInput(row, f.rowCells()[0])]; !ok {
				break
			}
			cells, blank := f.readRow(in, row)
			if !blank {
				ff.Rows = append(ff.Rows, cells)
			}
		}
		form.Fields = append(form.Fields, ff)
	}
	return form
}

func (f ruleField) readRow(in url.Values, row int) (cells []cell, blank bool) {
	blank = true
	for _, name := range f.rowCells() {
		value := lines(in.Get(f.RowInput(row, name)))
		cells = append(cells, cell{name, value})
		if value != "" && name != "code" { // which has a value in a blank row, too
			blank = false
		}
	}
	return cells, blank
}

// lines takes back what browsers do to the ends of lines (HTML §4.10.21.4).
func lines(s string) string { return strings.ReplaceAll(s, "\r\n", "\n") }

// values is the form as it would be sent, for the hidden inputs of a step.
func (f *ruleForm) values() url.Values {
	out := f.Expires.values()
	for _, ff := range f.Fields {
		if ff.Kind == kindChoice {
			if ff.Mode == modeSet {
				out.Set(ff.Name, ff.Value)
			}
			continue
		}
		out.Set(ff.Input("mode"), ff.Mode)
		if ff.Value != "" {
			out.Set(ff.Name, ff.Value)
		}
		if ff.Kind == kindSpan {
			out.Set(ff.Input("unit"), ff.Unit)
		}
		for i, row := range ff.Rows {
			for _, c := range row {
				out.Set(ff.RowInput(i, c.Name), c.Value)
			}
		}
	}
	return out
}

// rule makes the rule that the form says. What cannot be one is noted in Wrong, and ok is false; whether values are within their bounds is for the API to say.
func (f *ruleForm) rule() (r client.Rule, ok bool) {
	doc := ruleDoc{}
	for _, ff := range f.Fields {
		if raw := ff.read(f.wrong); raw != nil {
			doc[ff.Name] = raw
		}
	}
	if len(f.Wrong) > 0 {
		return r, false
	}
	r, err := doc.rule()
	if err != nil {
		f.wrong("", "rules.wrong.unreadable")
		return r, false
	}
	return r, true
}

// fill puts a field's JSON into the form.
func (ff *fieldForm) fill(raw json.RawMessage) error {
	ff.Mode = modeSet
	if string(raw) == "null" {
		ff.Mode = modeNone
		return nil
	}
	switch ff.Kind {
	case kindCount, kindChoice:
		ff.Value = string(raw)
		return nil
	case kindSpan:
		return ff.fillSpan(raw)
	case kindCondition:
		return json.Unmarshal(raw, &ff.Value)
	case kindLimits, kindSets, kindMatchers, kindTexts:
		if err := ff.fillRows(raw); err != nil {
			return err
		}
		if len(ff.Rows) == 0 {
			ff.Mode = modeNone
		}
	}
	return nil
}

// fillSpan says seconds in the longest unit that has no remainder.
func (ff *fieldForm) fillSpan(raw json.RawMessage) error {
	n, err := strconv.ParseInt(string(raw), 10, 64)
	if err != nil {
		return err
	}
	for _, unit := range spanUnits {
		if s := int64(unit.seconds); n != 0 && n%s == 0 || s == 1 {
			ff.Value, ff.Unit = strconv.FormatInt(n/s, 10), unit.name
			break
		}
	}
	return nil
}

// read makes a field's JSON; nil: it is left out, or was wrong.
func (ff *fieldForm) read(wrong noteProblem) json.RawMessage {
	switch {
	case ff.Mode == modeInherit:
		return nil
	case ff.Mode == modeNone && ff.None:
		return json.RawMessage(`null`)
	case ff.Mode == modeNone && ff.Listed():
		return ff.encode(nil, wrong)
	case ff.Mode != modeSet:
		wrong(ff.Input("mode"), "rules.wrong.mode")
		return nil
	}
	switch ff.Kind {
	case kindCount, kindSpan:
		return ff.readNumber(wrong)
	case kindChoice:
		for _, c := range ff.Choices {
			if c == ff.Value {
				return json.RawMessage(c)
			}
		}
		wrong(ff.Name, "rules.wrong.mode")
		return nil
	case kindCondition:
		raw, _ := json.Marshal(ff.Value) // texts always encode
		return raw
	case kindLimits, kindSets, kindMatchers, kindTexts:
		return ff.encode(ff.Rows, wrong)
	}
	return nil
}

func (ff *fieldForm) readNumber(wrong noteProblem) json.RawMessage {
	n, err := strconv.ParseInt(strings.TrimSpace(ff.Value), 10, 64)
	factor := int64(1)
	if ff.Kind == kindSpan {
		factor = 0
		for _, unit := range spanUnits {
			if unit.name == ff.Unit {
				factor = int64(unit.seconds)
			}
		}
	}
	const most = 1 << 53 / 86400 // beyond all bounds of the API, in any unit
	switch {
	case err != nil, n > most, n < -most:
		wrong(ff.Name, "rules.wrong.number")
		return nil
	case factor == 0:
		wrong(ff.Input("unit"), "rules.wrong.mode")
		return nil
	}
	return strconv.AppendInt(nil, n*factor, 10)
}
