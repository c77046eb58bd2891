package dashboard

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fillRows puts a list or a map into rows.
func (ff *fieldForm) fillRows(raw json.RawMessage) error {
	switch ff.Kind {
	case kindLimits:
		var limits map[string]int64
		if err := json.Unmarshal(raw, &limits); err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(limits)) {
			ff.Rows = append(ff.Rows, []cell{{"platform", name}, {"n", strconv.FormatInt(limits[name], 10)}})
		}
	case kindSets:
		var sets [][]string
		if err := json.Unmarshal(raw, &sets); err != nil {
			return err
		}
		for _, set := range sets {
			ff.Rows = append(ff.Rows, []cell{{"platforms", strings.Join(set, "\n")}})
		}
	case kindMatchers:
		var matchers []map[string]any
		if err := json.Unmarshal(raw, &matchers); err != nil {
			return err
		}
		for _, m := range matchers {
			ff.Rows = append(ff.Rows, ff.matcherRow(m))
		}
	case kindTexts:
		var texts map[string]map[string]string
		if err := json.Unmarshal(raw, &texts); err != nil {
			return err
		}
		for _, code := range slices.Sorted(maps.Keys(texts)) {
			for _, lang := range slices.Sorted(maps.Keys(texts[code])) {
				ff.Rows = append(ff.Rows, []cell{{"code", code}, {"lang", lang}, {"text", texts[code][lang]}})
			}
		}
	case kindCount, kindSpan, kindChoice, kindCondition:
	}
	return nil
}

func (ff *fieldForm) matcherRow(m map[string]any) []cell {
	var row []cell
	for _, name := range ff.rowCells() {
		value := ""
		switch v := m[name].(type) {
		case string:
			value = v
		case bool:
			if v {
				value = "true"
			}
		}
		row = append(row, cell{name, value})
	}
	return row
}

// encode makes the JSON of rows; nil: they are wrong.
func (ff *fieldForm) encode(rows [][]cell, wrong noteProblem) json.RawMessage {
	var all any
	ok := true
	bad := func(row int, cell, key string) {
		ok = false
		wrong(ff.RowInput(row, cell), key)
	}
	switch ff.Kind {
	case kindLimits:
		all = readLimits(rows, bad)
	case kindSets:
		all = readSets(rows)
	case kindMatchers:
		all = readMatchers(rows)
	case kindTexts:
		all = readTexts(rows, bad)
	case kindCount, kindSpan, kindChoice, kindCondition:
	}
	raw, err := json.Marshal(all)
	if err != nil || !ok {
		return nil
	}
	return raw
}

func readLimits(rows [][]cell, bad func(row int, cell, key string)) map[string]int64 {
	limits := map[string]int64{}
	for i, row := range rows {
		name := strings.TrimSpace(row[0].Value)
		n, err := strconv.ParseInt(strings.TrimSpace(row[1].Value), 10, 64)
		if err != nil {
			bad(i, "n", "rules.wrong.number")
		}
		if _, twice := limits[name]; twice {
			bad(i, "platform", "rules.wrong.twice")
		}
		limits[name] = n
	}
	return limits
}

// readSets reads platforms, one a line: a name may have every other character.
func readSets(rows [][]cell) [][]string {
	sets := [][]string{}
	for _, row := range rows {
		set := []string{}
		for line := range strings.SplitSeq(row[0].Value, "\n") {
			if name := strings.TrimSpace(line); name != "" {
				set = append(set, name)
			}
		}
		sets = append(sets, set)
	}
	return sets
}

// readMatchers takes patterns as they are: spaces may belong to them.
func readMatchers(rows [][]cell) []map[string]any {
	matchers := []map[string]any{}
	for _, row := range rows {
		m := map[string]any{}
		for _, c := range row {
			switch {
			case c.Value == "":
			case c.Name == "trust_client_claims":
				m[c.Name] = true
			default:
				m[c.Name] = c.Value
			}
		}
		matchers = append(matchers, m)
	}
	return matchers
}

func readTexts(rows [][]cell, bad func(row int, cell, key string)) map[string]map[string]string {
	texts := map[string]map[string]string{}
	for i, row := range rows {
		code, lang, text := row[0].Value, strings.TrimSpace(row[1].Value), row[2].Value
		if texts[code] == nil {
			texts[code] = map[string]string{}
		}
		if _, twice := texts[code][lang]; twice {
			bad(i, "lang", "rules.wrong.twice")
		}
		if lang == "" {
			bad(i, "lang", "rules.wrong.lang")
		}
		texts[code][lang] = text
	}
	return texts
}

// addRow appends an empty row, and makes the field one that is set.
func (ff *fieldForm) addRow() {
	var row []cell
	for _, name := range ff.rowCells() {
		row = append(row, cell{Name: name})
	}
	ff.Rows = append(ff.Rows, row)
	ff.Mode = modeSet
}

// removeRow takes a row away; the last one leaves the empty list.
func (ff *fieldForm) removeRow(i int) {
	if i < 0 || i >= len(ff.Rows) {
		return
	}
	ff.Rows = slices.Delete(ff.Rows, i, i+1)
	if len(ff.Rows) == 0 {
		ff.Mode = modeNone
	}
}
