package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/store"
)

// precondition reads If-Match and If-None-Match (RFC 9110 §13.1), which may be absent, and checks them against the rule as it is under its lock.
func (c *call) precondition() (store.RuleCheck, error) {
	match, err := readTags(c.Request().Header, "If-Match")
	if err != nil {
		return nil, err
	}
	none, err := readTags(c.Request().Header, "If-None-Match")
	if err != nil {
		return nil, err
	}
	return func(current *store.KeptRule) error {
		switch {
		case match != nil && current == nil && c.Request().Method == http.MethodDelete:
			return nil // there is nothing to delete, which says more
		case match != nil && current == nil:
			return failField(codePreconditionFailed, "If-Match", "There is no such rule now, so no If-Match fits.")
		case match != nil && !match.fit(current.Version, false):
			return failField(codePreconditionFailed, "If-Match", fmt.Sprintf("The ETag is %s now; a weak one fits nothing here. Read it again and decide anew.", etag(current.Version)))
		case none != nil && current != nil && none.fit(current.Version, true):
			return failField(codePreconditionFailed, "If-None-Match", fmt.Sprintf("There is such a rule already; its ETag is %s.", etag(current.Version)))
		}
		return nil
	}, nil
}

// tags are the entity tags of a header; nil: it is not there.
type tags struct {
	any  bool // *
	tags []entityTag
}

type entityTag struct {
	weak bool
	tag  string // with its quotes
}

// fit reports whether a version is among the tags, by the weak comparison or the strong one (RFC 9110 §8.8.3.2).
func (t *tags) fit(version int64, weak bool) bool {
	for _, e := range t.tags {
		if e.tag == etag(version) && (weak || !e.weak) {
			return true
		}
	}
	return t.any
}

// readTags reads "*" or a list of entity tags, which may be spread over several lines (RFC 9110 §§8.8.3, 5.6.1).
func readTags(h http.Header, name string) (*tags, error) {
	values := h.Values(name)
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // no header is no condition
	}
	t := &tags{}
	rest := strings.Trim(strings.Join(values, ","), " \t")
	if rest == "*" {
		t.any = true
		return t, nil
	}
	wrong := failField(codeInvalidField, name, `This must be * or entity tags in double quotes, separated by commas, such as "17". Send the ETag as it was received.`)
	for rest != "" {
		if rest[0] == ',' || rest[0] == ' ' || rest[0] == '\t' {
			rest = rest[1:]
			continue
		}
		var e entityTag
		rest, e.weak = strings.CutPrefix(rest, "W/")
		if !strings.HasPrefix(rest, `"`) {
			return nil, wrong
		}
		end := strings.IndexByte(rest[1:], '"')
		if end < 0 {
			return nil, wrong
		}
		e.tag, rest = rest[:end+2], strings.TrimLeft(rest[end+2:], " \t")
		if strings.ContainsFunc(e.tag, func(r rune) bool { return r <= ' ' || r == 0x7f }) || rest != "" && rest[0] != ',' {
			return nil, wrong
		}
		t.tags = append(t.tags, e)
	}
	if len(t.tags) == 0 {
		return nil, wrong
	}
	return t, nil
}
