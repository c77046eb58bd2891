package api

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/bindgate/bindgate/store"
)

// precondition checks If-Match and If-None-Match (RFC 9110 §13.1), which may be absent, against the rule as it is under its lock. A header that cannot be read is a
// condition that does not hold: nothing is changed on the strength of it.
func (c *call) precondition() store.RuleCheck {
	match, none := readTags(c.Request().Header.Values("If-Match")), readTags(c.Request().Header.Values("If-None-Match"))
	return func(current *store.KeptRule) error {
		now := "There is no such rule now"
		if current != nil {
			now = "The ETag is " + etag(current.Version) + " now"
		}
		const shape = `; this is neither * nor entity tags in double quotes, separated by commas. Send the ETag as it was received, with its quotes.`
		switch {
		case match != nil && current == nil && c.Request().Method == http.MethodDelete:
			return nil // there is nothing to delete, which says more
		case match != nil && match.malformed:
			return failField(codePreconditionFailed, "If-Match", now+shape)
		case none != nil && none.malformed:
			return failField(codePreconditionFailed, "If-None-Match", now+shape)
		case match != nil && current == nil:
			return failField(codePreconditionFailed, "If-Match", "There is no such rule now, so no If-Match fits.")
		case match != nil && !match.fit(current.Version, false):
			return failField(codePreconditionFailed, "If-Match", now+". Read it again and decide anew; a weak tag (W/) never fits here.")
		case none != nil && current != nil && none.fit(current.Version, true):
			return failField(codePreconditionFailed, "If-None-Match", fmt.Sprintf("There is such a rule already; its ETag is %s.", etag(current.Version)))
		}
		return nil
	}
}

// tags are the entity tags of a header.
type tags struct {
	any       bool // *
	malformed bool
	list      []entityTag
}

type entityTag struct {
	weak bool
	tag  string // with its quotes
}

// fit reports whether a version is among the tags, by the weak comparison or the strong one (RFC 9110 §8.8.3.2).
func (t *tags) fit(version int64, weak bool) bool {
	for _, e := range t.list {
		if e.tag == etag(version) && (weak || !e.weak) {
			return true
		}
	}
	return t.any
}

// readTags reads "*" or a list of entity tags, which may be spread over several lines (RFC 9110 §§8.8.3, 5.6.1); nil if the header is not there.
func readTags(values []string) *tags {
	if len(values) == 0 {
		return nil
	}
	rest := strings.Trim(strings.Join(values, ","), " \t")
	if rest == "*" {
		return &tags{any: true}
	}
	t := &tags{}
	for rest != "" {
		if rest[0] == ',' || rest[0] == ' ' || rest[0] == '\t' {
			rest = rest[1:]
			continue
		}
		var e entityTag
		rest, e.weak = strings.CutPrefix(rest, "W/")
		end := strings.IndexByte(strings.TrimPrefix(rest, `"`), '"')
		if !strings.HasPrefix(rest, `"`) || end < 0 {
			return &tags{malformed: true}
		}
		e.tag, rest = rest[:end+2], strings.TrimLeft(rest[end+2:], " \t")
		if rest != "" && rest[0] != ',' {
			return &tags{malformed: true}
		}
		t.list = append(t.list, e)
	}
	t.malformed = len(t.list) == 0
	return t
}
