package dashboard

import (
	"bytes"
	"encoding/json"
	"maps"
	"slices"
	"strings"
)

// change is a field of something that was changed. Old and New are its values as text; "": there was none, or is none.
type change struct{ Field, Old, New string }

// maxNesting bounds how deep values are taken apart; what is deeper is shown as JSON.
const maxNesting = 4

// changes are the fields in which two JSON values differ, in the order of their names. If both are the same, or neither is there, it is nil. word is what a field
// is called within a value that is shown whole.
func changes(old, now json.RawMessage, word func(string) string) []change {
	before, after := map[string]string{}, map[string]string{}
	flatten(before, "", old, 0, word)
	flatten(after, "", now, 0, word)
	names := maps.Clone(before)
	maps.Copy(names, after)
	var list []change
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if before[name] != after[name] {
			list = append(list, change{name, before[name], after[name]})
		}
	}
	return list
}

// flatten puts the members of a JSON value into fields, by their names with dots between. A null is as if it were not there, and so is a whole without members.
func flatten(fields map[string]string, name string, raw json.RawMessage, depth int, word func(string) string) {
	raw = bytes.TrimSpace(raw)
	if len(raw) == 0 || string(raw) == "null" || name == "" && string(raw) == "{}" {
		return
	}
	var members map[string]json.RawMessage
	if raw[0] == '{' && depth < maxNesting && json.Unmarshal(raw, &members) == nil && len(members) > 0 {
		for key, value := range members {
			flatten(fields, strings.TrimPrefix(name+"."+key, "."), value, depth+1, word)
		}
		return
	}
	fields[name] = valueText(raw, word)
}

// valueText is a JSON value as text: a string without its quotes, a list of plain values with commas, a list of objects with their members.
func valueText(raw json.RawMessage, word func(string) string) string {
	var s string
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	var items []json.RawMessage
	if raw[0] == '[' && json.Unmarshal(raw, &items) == nil && len(items) > 0 && !slices.ContainsFunc(items, func(i json.RawMessage) bool { return i[0] == '[' }) {
		texts, between := make([]string, len(items)), ", "
		for i, item := range items {
			texts[i] = valueText(item, word)
			if item[0] == '{' {
				texts[i], between = membersText(item, word), "; "
			}
		}
		return strings.Join(texts, between)
	}
	var compact bytes.Buffer
	if json.Compact(&compact, raw) != nil {
		return string(raw)
	}
	return compact.String()
}

// membersText is an object's members in the order of their names.
func membersText(raw json.RawMessage, word func(string) string) string {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return string(raw)
	}
	var texts []string
	for _, name := range slices.Sorted(maps.Keys(members)) {
		texts = append(texts, word(name)+" "+valueText(bytes.TrimSpace(members[name]), word))
	}
	return strings.Join(texts, " ")
}
