package docs

import (
	"cmp"
	"errors"
	"slices"
	"strings"
)

// field is a schema in words, with the name that it has where it stands.
type field struct {
	Name        string // "": an element, or a whole body
	Kind        string // "string", "array of integers", "object", "any"
	Null        bool   // may be null
	Required    bool
	Limits      []string // "1 to 500", "default 50", …
	Values      []string // the only ones that there are
	Choice      string   // which of the fields may stand together
	Description string
	Fields      []field // of an object, or of an array's objects
}

const deepest = 12 // schemas within schemas; the contract has 6

var errDeep = errors.New("a schema holds itself")

// field reads a schema.
func (s spec) field(name string, schema node, required bool, depth int) (field, error) {
	if depth > deepest {
		return field{}, errDeep
	}
	f := field{Name: name, Required: required, Description: schema.at("description").text()}
	target, err := s.follow(schema)
	if err != nil {
		return f, err
	}
	if f.Description == "" {
		f.Description = target.at("description").text()
	}
	if inner, null := nullable(target); null { // oneOf a schema and null
		one, err := s.field(name, inner, required, depth+1)
		one.Null = true
		if f.Description != "" {
			one.Description = f.Description
		}
		return one, err
	}
	kinds := target.at("type").texts()
	f.Null = slices.Contains(kinds, "null")
	kinds = slices.DeleteFunc(kinds, func(k string) bool { return k == "null" })
	f.Kind = strings.Join(kinds, " or ")
	f.Values = values(target)
	f.Limits = limits(target)
	if f.Choice = choice(target); strings.HasPrefix(f.Description, "Exactly one of ") {
		f.Choice = "" // it says so itself
	}
	for key, property := range target.at("properties").pairs {
		below, err := s.field(key, property, slices.Contains(target.at("required").texts(), key), depth+1)
		if err != nil {
			return f, err
		}
		f.Fields = append(f.Fields, below)
	}
	for _, part := range parts(target) {
		below, err := s.field("", part, false, depth+1)
		if err != nil {
			return f, err
		}
		f.Kind = cmp.Or(f.Kind, below.Kind)
		for _, one := range below.Fields {
			if !slices.ContainsFunc(f.Fields, func(have field) bool { return have.Name == one.Name }) {
				f.Fields = append(f.Fields, one)
			}
		}
	}
	if items := target.at("items"); items.Node != nil {
		return s.list(f, items, depth)
	}
	if rest := target.at("additionalProperties"); rest.at("$ref").text() != "" || rest.has("type") {
		return s.open(f, target, rest, depth)
	}
	return f, nil
}

// parts are the schemas that a schema is put together of: all of them, or one of several kinds of object, whose fields are shown together.
func parts(schema node) []node {
	all := schema.at("allOf").items()
	if !schema.has("properties") {
		all = append(all, append(schema.at("oneOf").items(), schema.at("anyOf").items()...)...)
	}
	return slices.DeleteFunc(all, func(n node) bool { return !n.has("$ref") && !n.has("properties") })
}

// list takes over what an array's elements are.
func (s spec) list(f field, items node, depth int) (field, error) {
	element, err := s.field("", items, false, depth+1)
	if element.Kind == "" {
		element.Kind = "any"
	}
	f.Kind = "array of " + plural(element.Kind)
	f.Fields, f.Choice = element.Fields, element.Choice
	f.Values = append(f.Values, element.Values...)
	if items, err := s.follow(items); err == nil && !items.has("items") { // what lists within lists are bound to would only confuse
		for _, limit := range element.Limits {
			f.Limits = append(f.Limits, "each "+limit)
		}
	}
	if f.Description == "" {
		f.Description = element.Description
	}
	return f, err
}

// open takes over what the values of an object with free keys are.
func (s spec) open(f field, target, rest node, depth int) (field, error) {
	key := "name"
	if keys, err := s.follow(target.at("propertyNames")); err != nil {
		return f, err
	} else if known := values(keys); known != nil {
		key = "one of " + strings.Join(known, ", ")
	}
	value, err := s.field("<"+key+">", rest, false, depth+1)
	f.Fields = append(f.Fields, value)
	return f, err
}

// plural of a kind. "string or integer" stays what it is.
func plural(kind string) string {
	if first, rest, ok := strings.Cut(kind, " of "); ok {
		return first + "s of " + rest
	}
	if kind == "any" {
		return "anything"
	}
	return kind + "s"
}

// nullable finds the schema in a oneOf of it and null.
func nullable(schema node) (inner node, null bool) {
	for _, alternative := range schema.at("oneOf").items() {
		if alternative.at("type").text() == "null" {
			null = true
		} else {
			inner = alternative
		}
	}
	return inner, null && inner.Node != nil
}

func values(schema node) []string {
	if c := schema.at("const"); c.Node != nil {
		return []string{c.text()}
	}
	return schema.at("enum").texts()
}

// limits says what a value is bound to.
func limits(schema node) []string {
	var all []string
	span := func(low, high, unit string) {
		switch {
		case low == "1" && high == "" && unit != "":
			all = append(all, "not empty")
		case low != "" && low == high:
			all = append(all, low+unit)
		case low != "" && high != "":
			all = append(all, low+" to "+high+unit)
		case high != "":
			all = append(all, "up to "+high+unit)
		case low != "" && low != "0":
			all = append(all, low+unit+" or more")
		}
	}
	if format := schema.at("format").text(); format != "" {
		all = append(all, format)
	}
	var formats []string
	for _, alternative := range schema.at("anyOf").items() {
		if format := alternative.at("format").text(); format != "" {
			formats = append(formats, format)
		}
	}
	if formats != nil {
		all = append(all, strings.Join(formats, " or "))
	}
	span(schema.at("minimum").text(), schema.at("maximum").text(), "")
	span(schema.at("minLength").text(), schema.at("maxLength").text(), " characters")
	span(schema.at("minItems").text(), schema.at("maxItems").text(), " elements")
	span(schema.at("minProperties").text(), schema.at("maxProperties").text(), " fields")
	if schema.at("uniqueItems").text() == "true" {
		all = append(all, "none twice")
	}
	if d := schema.at("default").text(); d != "" {
		all = append(all, "default "+d)
	}
	return all
}

// choice says which fields exclude each other, where alternatives differ in what they require.
func choice(schema node) string {
	for _, kind := range []struct{ key, words string }{{"oneOf", "Exactly one of "}, {"anyOf", "At least one of "}} {
		var groups []string
		alternatives := schema.at(kind.key).items()
		for _, alternative := range alternatives {
			group := "`" + strings.Join(alternative.at("required").texts(), "` with `") + "`"
			if alternative.has("required") && !slices.Contains(groups, group) {
				groups = append(groups, group)
			}
		}
		if groups != nil && len(groups) == len(alternatives) {
			return kind.words + strings.Join(groups, ", ") + "."
		}
	}
	return ""
}
