package docs

import (
	"encoding/json"
	"net/url"
	"strings"

	"go.yaml.in/yaml/v3"
)

// fragments are a piece of JSON, cut up for its colours.
type fragments []fragment

type fragment struct {
	Class string // k: key, s: string, n: number or literal; "": the rest
	Text  string
}

// sample finds an example of a schema, or makes one of those of its parts.
func (s spec) sample(schema node, depth int) node {
	target, err := s.follow(schema)
	if err != nil || depth > deepest {
		return null()
	}
	if given := target.at("examples").items(); len(given) > 0 {
		return given[0]
	}
	for _, key := range []string{"example", "const", "default"} {
		if v := target.at(key); v.Node != nil {
			return v
		}
	}
	if given := target.at("enum").items(); len(given) > 0 {
		return given[0]
	}
	if given := target.at("oneOf").items(); len(given) > 0 && !target.has("properties") {
		return s.sample(given[0], depth+1)
	}
	if all := target.at("allOf").items(); len(all) > 0 {
		whole := &yaml.Node{Kind: yaml.MappingNode}
		for _, part := range all {
			if made := s.sample(part, depth+1); made.is(yaml.MappingNode) {
				whole.Content = append(whole.Content, made.Content...)
			}
		}
		return node{whole}
	}
	kinds := append(target.at("type").texts(), "null")
	switch kinds[0] {
	case "object":
		made := &yaml.Node{Kind: yaml.MappingNode}
		for key, property := range target.at("properties").pairs {
			made.Content = append(made.Content, &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}, s.sample(property, depth+1).Node)
		}
		return node{made}
	case "array":
		return node{&yaml.Node{Kind: yaml.SequenceNode, Content: []*yaml.Node{s.sample(target.at("items"), depth+1).Node}}}
	case "integer":
		low := target.at("minimum").text()
		if low == "" {
			low = "0"
		}
		return node{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!int", Value: low}}
	case "boolean":
		return node{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!bool", Value: "false"}}
	case "string":
		if len(kinds) > 2 { // or null
			return null()
		}
		return node{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: word(target)}}
	}
	return null()
}

func null() node { return node{&yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null", Value: "null"}} }

// word is a text for a schema that has no example.
func word(schema node) string {
	if schema.at("format").text() == "date-time" {
		return "2026-11-23T08:00:00Z"
	}
	prefix, _, ok := strings.Cut(strings.TrimPrefix(schema.at("pattern").text(), "^"), "[")
	if ok && strings.HasSuffix(prefix, "_") { // an id
		return prefix + "szg0vqj6xya2c0fznywy50jyg000000000000a8"
	}
	return "…"
}

// pretty writes JSON as people indent it: what is short stays on one line.
func pretty(n node) fragments {
	w := &jsonWriter{}
	w.value(n, "")
	return w.out
}

type jsonWriter struct{ out fragments }

const lineWidth = 60

func (w *jsonWriter) put(class, text string) {
	w.out = append(w.out, fragment{class, text})
}

func (w *jsonWriter) value(n node, indent string) {
	open, shut := "{", "}"
	switch {
	case n.is(yaml.AliasNode):
		w.value(node{n.Alias}, indent)
		return
	case n.is(yaml.ScalarNode):
		w.scalar(n)
		return
	case n.is(yaml.SequenceNode):
		open, shut = "[", "]"
	}
	step := 1
	if n.is(yaml.MappingNode) {
		step = 2
	}
	inner, end := "\n"+indent+"  ", "\n"+indent
	if short(n) {
		inner, end = "", ""
	}
	w.put("", open)
	for i := 0; i < len(n.Content); i += step {
		switch {
		case i > 0 && inner == "":
			w.put("", ", ")
		case i > 0:
			w.put("", ","+inner)
		default:
			w.put("", inner)
		}
		if step == 2 {
			w.put("k", quote(n.Content[i].Value))
			w.put("", ": ")
		}
		w.value(node{n.Content[i+step-1]}, indent+"  ")
	}
	w.put("", end+shut)
}

func (w *jsonWriter) scalar(n node) {
	switch n.Tag {
	case "!!int", "!!float", "!!bool", "!!null":
		w.put("n", n.Value)
	default:
		w.put("s", quote(n.Value))
	}
}

// short reports whether a value fits on a line.
func short(n node) bool {
	length := 0
	var walk func(*yaml.Node)
	walk = func(m *yaml.Node) {
		length += len(m.Value) + 4
		for _, c := range m.Content {
			walk(c)
		}
	}
	walk(n.Node)
	return length <= lineWidth
}

func quote(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(s) // a string always encodes
	return strings.TrimSuffix(b.String(), "\n")
}

func (f fragments) String() string {
	var b strings.Builder
	for _, part := range f {
		b.WriteString(part.Text)
	}
	return b.String()
}

// command is the operation as a call of curl.
func command(o operation, path map[string]string) string {
	target := o.Path
	for name, value := range path {
		target = strings.ReplaceAll(target, "{"+name+"}", url.PathEscape(value))
	}
	lines := []string{"curl"}
	if o.Method != "GET" {
		lines[0] += " -X " + o.Method
	}
	lines[0] += " http://127.0.0.1:8080" + target
	if !o.Open {
		lines = append(lines, `-H "Authorization: Bearer $TOKEN"`)
	}
	if o.Body != nil {
		lines = append(lines, `-H "Content-Type: application/json"`, "-d '"+strings.NewReplacer("'", `'\''`, "\n", "\n  ").Replace(o.Body.Example.String())+"'")
	}
	return strings.Join(lines, " \\\n  ")
}
