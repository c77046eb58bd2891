package api

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"mime"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/bindgate/bindgate/rules"
)

// What a body may be.
const (
	maxBody  = 64 << 10
	maxDepth = 16
)

// readBody returns the request's body, which handler has limited: one JSON value of bounded size and depth, UTF-8 throughout, no key twice.
func readBody(r *http.Request) ([]byte, error) {
	kind, params, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || len(r.Header.Values("Content-Type")) > 1 || kind != "application/json" || params["charset"] != "" && !strings.EqualFold(params["charset"], "utf-8") {
		return nil, failField(codeMediaType, "Content-Type", "Send the body as application/json, in UTF-8.")
	}
	if e := r.Header.Values("Content-Encoding"); len(e) > 1 || len(e) == 1 && e[0] != "" && !strings.EqualFold(e[0], "identity") {
		return nil, failField(codeMediaType, "Content-Encoding", "Send the body without a content encoding.")
	}
	body, err := io.ReadAll(r.Body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, fail(codeTooLarge, fmt.Sprintf("The body is longer than %d bytes.", maxBody))
	case errors.Is(err, os.ErrDeadlineExceeded):
		return nil, fail(codeTimeout, fmt.Sprintf("The body did not arrive within %d seconds.", bodyTimeout/time.Second))
	case err != nil:
		return nil, fail(codeMalformed, "The body ended before it was complete.")
	case len(bytes.TrimSpace(body)) == 0:
		return nil, fail(codeMalformed, "The body is empty; a JSON object was expected.")
	}
	return body, strictly(body)
}

// strictly refuses what is not one JSON value, in UTF-8, of bounded depth, with no key twice.
func strictly(text []byte) error {
	if !utf8.Valid(text) {
		return fail(codeMalformed, "The body is not valid UTF-8.")
	}
	if err := json.Unmarshal(text, new(json.RawMessage)); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			return fail(codeMalformed, fmt.Sprintf("The body is not one JSON value: %s, at byte %d.", syntax.Error(), syntax.Offset))
		}
		return fail(codeMalformed, "The body is not one JSON value.")
	}
	s := scanner{dec: json.NewDecoder(bytes.NewReader(text)), body: text}
	s.dec.UseNumber()
	return s.value("", 0)
}

// scanner walks valid JSON for what encoding/json lets pass.
type scanner struct {
	dec  *json.Decoder
	body []byte
}

func (s *scanner) value(at string, depth int) error {
	token, raw, err := s.token()
	if err != nil {
		return err
	}
	if text, ok := token.(string); ok {
		return checkString(at, text, raw)
	}
	delim, ok := token.(json.Delim)
	if !ok {
		return nil
	}
	if depth >= maxDepth {
		return failField(codeMalformed, at, fmt.Sprintf("This is nested deeper than %d levels.", maxDepth))
	}
	seen := map[string]bool{}
	for i := 0; s.dec.More(); i++ {
		child := at + "/" + strconv.Itoa(i)
		if delim == '{' {
			key, raw, err := s.token()
			if err != nil {
				return err
			}
			name, _ := key.(string)
			child = at + "/" + pointer(name)
			if err := checkString(child, name, raw); err != nil {
				return err
			}
			if seen[name] {
				return failField(codeMalformed, child, fmt.Sprintf("The key %q is there twice.", name))
			}
			seen[name] = true
		}
		if err := s.value(child, depth+1); err != nil {
			return err
		}
	}
	_, _, err = s.token()
	return err
}

func (s *scanner) token() (token json.Token, raw []byte, err error) {
	start := s.dec.InputOffset()
	if token, err = s.dec.Token(); err != nil {
		return nil, nil, fail(codeMalformed, "The body is not one JSON value.")
	}
	return token, s.body[start:s.dec.InputOffset()], nil
}

// checkString refuses what PostgreSQL and XML cannot hold: NUL, and halves of surrogate pairs (which the decoder would replace in silence).
func checkString(at, text string, raw []byte) error {
	if strings.ContainsRune(text, 0) {
		return failField(codeInvalidField, at, "A text must not hold the character U+0000.")
	}
	for i := 0; i < len(raw); i++ {
		if raw[i] != '\\' {
			continue
		}
		i++
		if raw[i] != 'u' {
			continue
		}
		unit := hexUnit(raw, i+1)
		i += 4
		switch {
		case unit >= 0xd800 && unit < 0xdc00 && i+2 < len(raw) && raw[i+1] == '\\' && raw[i+2] == 'u':
			if low := hexUnit(raw, i+3); low >= 0xdc00 && low < 0xe000 {
				i += 6
				continue
			}
			fallthrough
		case unit >= 0xd800 && unit < 0xe000:
			return failField(codeMalformed, at, "A text holds half of a surrogate pair.")
		}
	}
	return nil
}

func hexUnit(raw []byte, at int) uint64 {
	n, _ := strconv.ParseUint(string(raw[at:min(at+4, len(raw))]), 16, 32)
	return n
}

// pointer escapes a key for a JSON pointer (RFC 6901).
func pointer(key string) string {
	return strings.NewReplacer("~", "~0", "/", "~1").Replace(key)
}

// object is a body's JSON object. Its readers keep the first problem; err returns it.
type object struct {
	at      string // a JSON pointer; "" for the body itself
	fields  map[string]json.RawMessage
	problem error
}

// readObject reads a body that is an object with no fields but those known; nil known takes all.
func readObject(r *http.Request, known ...string) (*object, error) {
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	o := &object{}
	if err := json.Unmarshal(body, &o.fields); err != nil || o.fields == nil {
		return nil, failField(codeInvalidField, "", "The body must be a JSON object.")
	}
	if known == nil {
		return o, nil
	}
	if o.only(known); o.problem != nil {
		return nil, o.problem
	}
	return o, nil
}

// only refuses fields that are not known.
func (o *object) only(known []string) {
	for _, name := range slices.Sorted(maps.Keys(o.fields)) {
		if !slices.Contains(known, name) && o.problem == nil {
			o.problem = failField(codeUnknownField, o.at+"/"+pointer(name), fmt.Sprintf("There is no field %q here; the fields are %s.", name, strings.Join(known, ", ")))
		}
	}
}

// object returns a field that is an object with no fields but those known; nil if it is not there. What is wrong with it is for adopt.
func (o *object) object(name string, known []string) *object {
	raw, ok := o.fields[name]
	if !ok {
		return nil
	}
	in := &object{at: o.at + "/" + name}
	if raw[0] != '{' || json.Unmarshal(raw, &in.fields) != nil {
		in.wrong("", "This must be an object.")
		return in
	}
	in.only(known)
	return in
}

// adopt takes over what is wrong with an object inside this one.
func (o *object) adopt(in *object) {
	if o.problem == nil {
		o.problem = in.problem
	}
}

func (o *object) has(name string) bool { return o.fields[name] != nil }

func (o *object) wrong(at, detail string) {
	if o.problem == nil {
		o.problem = failField(codeInvalidField, o.at+at, detail)
	}
}

// text returns a string of 1 … limit characters; "" if it is not there.
func (o *object) text(name string, limit int) string {
	raw, ok := o.fields[name]
	if !ok {
		return ""
	}
	return o.textAt("/"+name, raw, limit)
}

func (o *object) textAt(at string, raw json.RawMessage, limit int) string {
	var s string
	if raw[0] != '"' || json.Unmarshal(raw, &s) != nil {
		o.wrong(at, "This must be a string.")
		return ""
	}
	if n := utf8.RuneCountInString(s); n == 0 || n > limit {
		o.wrong(at, fmt.Sprintf("This must have 1 to %d characters; it has %d.", limit, n))
	}
	return s
}

// within returns an integer of a range; nil if it is not there.
func (o *object) within(name string, low, high int64) *int64 {
	raw, ok := o.fields[name]
	if !ok {
		return nil
	}
	n, ok := rules.Whole(string(raw))
	if !ok || n < low || n > high {
		o.wrong("/"+name, fmt.Sprintf("This must be an integer from %d to %d.", low, high))
		return nil
	}
	return &n
}

// boolean returns true or false; nil if it is not there.
func (o *object) boolean(name string) *bool {
	raw, ok := o.fields[name]
	if !ok {
		return nil
	}
	yes := string(raw) == "true"
	if !yes && string(raw) != "false" {
		o.wrong("/"+name, "This must be true or false.")
	}
	return &yes
}

// list returns an array's elements, 1 … limit; nil if it is not there.
func (o *object) list(name string, limit int) []json.RawMessage {
	raw, ok := o.fields[name]
	if !ok {
		return nil
	}
	var list []json.RawMessage
	if raw[0] != '[' || json.Unmarshal(raw, &list) != nil {
		o.wrong("/"+name, "This must be an array of strings.")
		return nil
	}
	if len(list) == 0 || len(list) > limit {
		o.wrong("/"+name, fmt.Sprintf("This must have 1 to %d elements; it has %d.", limit, len(list)))
	}
	return list
}
