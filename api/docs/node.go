package docs

import (
	"fmt"
	"strings"

	"go.yaml.in/yaml/v3"
)

// node is a value of the document, in the document's order, which readers of it into maps lose.
type node struct{ *yaml.Node }

// spec is a document with its references.
type spec struct{ root node }

func parse(text []byte) (spec, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return spec{}, err
	}
	if doc.Kind != yaml.DocumentNode || doc.Content[0].Kind != yaml.MappingNode {
		return spec{}, fmt.Errorf("the document is no mapping")
	}
	return spec{node{doc.Content[0]}}, nil
}

func (n node) is(kind yaml.Kind) bool { return n.Node != nil && n.Kind == kind }

// at returns what is behind the keys; nothing, if nothing is there.
func (n node) at(keys ...string) node {
	for _, key := range keys {
		found := node{}
		for name, value := range n.pairs {
			if name == key {
				found = value
			}
		}
		n = found
	}
	return n
}

func (n node) has(key string) bool { return n.at(key).Node != nil }

// pairs goes through a mapping.
func (n node) pairs(yield func(string, node) bool) {
	if !n.is(yaml.MappingNode) {
		return
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if !yield(n.Content[i].Value, node{n.Content[i+1]}) {
			return
		}
	}
}

// items are the elements of a sequence.
func (n node) items() []node {
	if !n.is(yaml.SequenceNode) {
		return nil
	}
	all := make([]node, len(n.Content))
	for i, c := range n.Content {
		all[i] = node{c}
	}
	return all
}

// text is a scalar as it is written; "" if there is none.
func (n node) text() string {
	if !n.is(yaml.ScalarNode) {
		return ""
	}
	return n.Value
}

// texts are the scalars of a sequence, or the scalar.
func (n node) texts() []string {
	if s := n.text(); s != "" {
		return []string{s}
	}
	var all []string
	for _, item := range n.items() {
		all = append(all, item.text())
	}
	return all
}

// follow resolves a reference within the document. What stands beside it (OpenAPI 3.1: siblings in schemas) is the caller's to read first.
func (s spec) follow(n node) (node, error) {
	for range 8 {
		ref := n.at("$ref").text()
		if ref == "" {
			return n, nil
		}
		path, ok := strings.CutPrefix(ref, "#/")
		if n = s.root.at(strings.Split(path, "/")...); !ok || n.Node == nil {
			return n, fmt.Errorf("nothing is at %s", ref)
		}
	}
	return n, fmt.Errorf("references go in a circle")
}
