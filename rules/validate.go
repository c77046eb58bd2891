package rules

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/language"
)

// Codes of a FieldError.
const (
	UnknownField = "unknown_field"
	InvalidField = "invalid_field"
)

// FieldError is JSON that is no rule: one field is wrong.
type FieldError struct {
	Code    string // UnknownField or InvalidField
	Field   string // JSON pointer (RFC 6901); empty for the whole document
	Message string // what would be right
}

func (e *FieldError) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// SyntaxError is text that is no JSON.
type SyntaxError struct {
	Offset  int64 // bytes read before the error
	Message string
}

func (e *SyntaxError) Error() string {
	return fmt.Sprintf("not valid JSON at byte %d: %s", e.Offset, e.Message)
}

// Bounds of a rule's values.
const (
	maxLimit     = 1_000_000
	maxPlatforms = 100 // with a limit, or in one set
	maxSets      = 100
	maxExempt    = 100
	maxGhostWait = 4            // seconds; a bind is held for 5
	maxCooldown  = 7 * 86_400   // seconds
	maxDuration  = 366 * 86_400 // seconds
)

// Parse reads a rule from JSON and checks all of it: no field that is unknown or given twice, no null but where it means none (limits, times and
// condition), no value out of bounds. Its error is a *SyntaxError, or a *FieldError for the first wrong field in the order of the text.
func Parse(data []byte) (Rule, error) {
	if err := checkSyntax(data); err != nil {
		return Rule{}, err
	}
	p := newParser(data)
	var r Rule
	err := p.object("", `must be a JSON object, such as {"max_sessions": 1}`, func(name, at string) error {
		var err error
		switch name {
		case fieldMaxSessions:
			r.MaxSessions, err = set(p.numberOrNull(at, maxLimit, "must be a whole number from 1 to 1000000, or null for no limit"))
		case fieldMaxPerPlatform:
			r.MaxPerPlatform, err = set(p.platforms(at))
		case fieldExclusive:
			r.Exclusive, err = set(p.exclusive(at))
		case fieldOnExcess:
			r.OnExcess, err = set(oneOf(p, at, EvictOldest, EvictIdle, Deny, Choose))
		case fieldSameResource:
			r.SameResource, err = set(oneOf(p, at, Replace, DenySameResource))
		case fieldCooldown:
			r.TakeoverCooldownSeconds, err = set(p.integer(at, 0, maxCooldown, "must be a whole number of seconds from 0 (no cooldown) to 604800 (a week)"))
		case fieldCooldownMax:
			r.TakeoverCooldownMaxSeconds, err = set(p.numberOrNull(at, maxCooldown, "must be a whole number of seconds from 1 to 604800 (a week), or null for no such end"))
		case fieldGhostAfterSeconds:
			r.GhostAfterSeconds, err = set(p.integer(at, 1, maxGhostWait, "must be a whole number of seconds from 1 to 4"))
		case fieldHibernatingCounts:
			r.HibernatingCounts, err = set(p.boolean(at))
		case fieldRequireGrant:
			r.RequireGrant, err = set(p.boolean(at))
		case fieldExempt:
			r.Exempt, err = set(p.matchers(at, maxExempt, exemptMatcher()))
		case fieldCondition:
			r.Condition, err = set(p.condition(at))
		case fieldMaxAge:
			r.MaxSessionAgeSeconds, err = set(p.numberOrNull(at, maxDuration, "must be a whole number of seconds from 1 to 31622400 (a year), or null for any age"))
		case fieldMaxIdle:
			r.MaxIdleSeconds, err = set(p.numberOrNull(at, maxDuration, "must be a whole number of seconds from 1 to 31622400 (a year), or null for any time"))
		case fieldText:
			r.Text, err = set(p.texts(at))
		case fieldDenyCondition:
			r.DenyCondition, err = set(oneOf(p, at, conditionConstraint, conditionConflict))
		case fieldNotifyDevices:
			r.NotifyDevices, err = set(p.boolean(at))
		case fieldEnforce:
			r.Enforce, err = set(p.boolean(at))
		default:
			return &FieldError{UnknownField, at, "unknown field " + quoted(name) + "; a rule has " + strings.Join(ruleFields(), ", ")}
		}
		return err
	})
	if err != nil {
		return Rule{}, err
	}
	return r, nil
}

func ruleFields() []string {
	return []string{
		fieldMaxSessions, fieldMaxPerPlatform, fieldExclusive, fieldOnExcess, fieldSameResource, fieldCooldown, fieldCooldownMax, fieldGhostAfterSeconds,
		fieldHibernatingCounts, fieldRequireGrant, fieldExempt, fieldCondition, fieldMaxAge, fieldMaxIdle, fieldText, fieldDenyCondition, fieldNotifyDevices, fieldEnforce,
	}
}

func checkSyntax(data []byte) error {
	if !utf8.Valid(data) {
		return &SyntaxError{Offset: int64(firstInvalid(data)), Message: "not UTF-8"}
	}
	var raw json.RawMessage
	err := json.Unmarshal(data, &raw)
	if syntax, ok := errors.AsType[*json.SyntaxError](err); ok {
		return &SyntaxError{Offset: syntax.Offset, Message: syntax.Error()}
	}
	if err != nil {
		return &SyntaxError{Message: err.Error()}
	}
	return nil
}

func firstInvalid(data []byte) int {
	at := 0
	for at < len(data) {
		r, n := utf8.DecodeRune(data[at:])
		if r == utf8.RuneError && n == 1 {
			break
		}
		at += n
	}
	return at
}

func invalid(at, message string) error { return &FieldError{InvalidField, at, message} }

func quoted(s string) string { return string(appendQuoted(nil, s)) }

// pointer appends a step to a JSON pointer.
func pointer(at, name string) string {
	if short := bound(name, maxRunes); len(short) < len(name) {
		name = short + "…"
	}
	return at + "/" + strings.NewReplacer("~", "~0", "/", "~1").Replace(name)
}

func set[T any](v T, err error) (Field[T], error) { return Of(v), err }

// parser reads a document whose syntax is known to be right, token by token.
type parser struct{ dec *json.Decoder }

func newParser(data []byte) *parser {
	p := &parser{json.NewDecoder(bytes.NewReader(data))}
	p.dec.UseNumber()
	return p
}

func (p *parser) next() (json.Token, error) {
	tok, err := p.dec.Token()
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, &SyntaxError{Offset: p.dec.InputOffset(), Message: err.Error()}
	}
	return tok, nil
}

// object reads an object; member is called for each name, with its pointer, and has to read the value.
func (p *parser) object(at, want string, member func(name, at string) error) error {
	tok, err := p.next()
	if err != nil {
		return err
	}
	if tok != json.Delim('{') {
		return invalid(at, want)
	}
	seen := map[string]bool{}
	for p.dec.More() {
		tok, err := p.next()
		if err != nil {
			return err
		}
		name, _ := tok.(string)
		here := pointer(at, name)
		if seen[name] {
			return invalid(here, quoted(name)+" is given twice; give it once")
		}
		seen[name] = true
		if err := member(name, here); err != nil {
			return err
		}
	}
	_, err = p.next()
	return err
}

// array reads an array; element is called for each element, with its pointer, and has to read it.
func (p *parser) array(at, want string, element func(at string) error) error {
	tok, err := p.next()
	if err != nil {
		return err
	}
	if tok != json.Delim('[') {
		return invalid(at, want)
	}
	for i := 0; p.dec.More(); i++ {
		if err := element(at + "/" + strconv.Itoa(i)); err != nil {
			return err
		}
	}
	_, err = p.next()
	return err
}

func (p *parser) text(at string) (string, error) {
	tok, err := p.next()
	if err != nil {
		return "", err
	}
	s, ok := tok.(string)
	if !ok {
		return "", invalid(at, "must be a string")
	}
	return s, nil
}

// numberOrNull reads a whole number from 1 to most, or null.
func (p *parser) numberOrNull(at string, most int, want string) (*int, error) {
	tok, err := p.next()
	if err != nil || tok == nil {
		return nil, err
	}
	n, err := whole(tok, at, 1, most, want)
	return &n, err
}

func (p *parser) integer(at string, least, most int, want string) (int, error) {
	tok, err := p.next()
	if err != nil {
		return 0, err
	}
	return whole(tok, at, least, most, want)
}

func whole(tok json.Token, at string, least, most int, want string) (int, error) {
	number, ok := tok.(json.Number)
	if !ok {
		return 0, invalid(at, want)
	}
	n, ok := Whole(number.String())
	if !ok || n < int64(least) || n > int64(most) {
		return 0, invalid(at, want)
	}
	return int(n), nil
}

// Whole reads a JSON number that is an integer, as JSON Schema does (draft 2020-12, validation §6.1.1): 3, 3.0 and 3e0 are the same. What is beyond the
// integers that a float64 holds exactly has to be written without fraction and exponent.
func Whole(number string) (n int64, ok bool) {
	if n, err := strconv.ParseInt(number, 10, 64); err == nil {
		return n, true
	}
	f, err := strconv.ParseFloat(number, 64)
	return int64(f), err == nil && f == math.Trunc(f) && math.Abs(f) <= 1<<53
}

func (p *parser) boolean(at string) (bool, error) {
	tok, err := p.next()
	if err != nil {
		return false, err
	}
	b, ok := tok.(bool)
	if !ok {
		return false, invalid(at, "must be true or false")
	}
	return b, nil
}

func oneOf[T ~string](p *parser, at string, values ...T) (T, error) {
	tok, err := p.next()
	if err != nil {
		return "", err
	}
	if s, ok := tok.(string); ok && slices.Contains(values, T(s)) {
		return T(s), nil
	}
	var want strings.Builder
	want.WriteString("must be ")
	for i, v := range values {
		switch {
		case i == 0:
		case i == len(values)-1:
			want.WriteString(" or ")
		default:
			want.WriteString(", ")
		}
		want.WriteString(strconv.Quote(string(v)))
	}
	return "", invalid(at, want.String())
}

func (p *parser) platforms(at string) (map[string]int, error) {
	limits := map[string]int{}
	err := p.object(at, `must be an object of platform and limit, such as {"web": 3}`, func(name, here string) error {
		switch {
		case !platformName(name):
			return invalid(here, "a platform's name must be 1 to 64 printable characters")
		case len(limits) == maxPlatforms:
			return invalid(here, "at most 100 platforms can have a limit")
		}
		n, err := p.integer(here, 1, maxLimit, "must be a whole number from 1 to 1000000; leave the platform out for no limit")
		limits[name] = n
		return err
	})
	return limits, err
}

// platformName reports whether a platform or a group of them may be called so.
func platformName(name string) bool { return name != "" && clean(name) == name }

func (p *parser) exclusive(at string) ([][]string, error) {
	sets := [][]string{}
	err := p.array(at, `must be a list of sets of platforms, such as [["ios","android"]]`, func(here string) error {
		if len(sets) == maxSets {
			return invalid(here, "at most 100 sets can be exclusive")
		}
		set, err := p.platformSet(here)
		sets = append(sets, set)
		return err
	})
	return sets, err
}

// platformSet reads a list of 1 to 100 distinct names.
func (p *parser) platformSet(at string) ([]string, error) {
	names := []string{}
	err := p.array(at, `must be a list of platforms, such as ["ios","android"]`, func(here string) error {
		name, err := p.text(here)
		switch {
		case err != nil:
			return err
		case !platformName(name):
			return invalid(here, "a platform's name must be 1 to 64 printable characters")
		case slices.Contains(names, name):
			return invalid(here, quoted(name)+" is given twice; give it once")
		case len(names) == maxPlatforms:
			return invalid(here, "at most 100 platforms can be in a set")
		}
		names = append(names, name)
		return nil
	})
	if err == nil && len(names) == 0 {
		err = invalid(at, "must name at least one platform")
	}
	return names, err
}

func (p *parser) texts(at string) (map[string]map[string]string, error) {
	texts := map[string]map[string]string{}
	err := p.object(at, `must be an object of code, language and text, such as {"takeover": {"en": "Signed in on {device}."}}`, func(code, here string) error {
		if !slices.Contains(TextCodes(), code) {
			return invalid(here, "unknown code "+quoted(code)+"; must be one of "+strings.Join(TextCodes(), ", "))
		}
		byTag, err := p.textsOf(here)
		texts[code] = byTag
		return err
	})
	return texts, err
}

func (p *parser) textsOf(at string) (map[string]string, error) {
	texts := map[string]string{}
	err := p.object(at, `must be an object of language and text, such as {"en": "Signed in on {device}."}`, func(tag, here string) error {
		if !LanguageTag(tag) {
			return invalid(here, "unknown language tag "+quoted(tag)+`; must be a BCP 47 tag, such as "en", "ja" or "zh-Hant"`)
		}
		for other := range texts {
			if sameTag(tag, other) {
				return invalid(here, "the language of "+quoted(tag)+" is given twice; give it once")
			}
		}
		text, err := p.text(here)
		if err != nil {
			return err
		}
		texts[tag] = text
		if problem := checkText(text); problem != "" {
			return invalid(here, problem)
		}
		return nil
	})
	return texts, err
}

// LanguageTag reports whether s is a well-formed BCP 47 tag of known subtags that names a language.
func LanguageTag(s string) bool {
	if s == "" || len(s) > maxTag || strings.Contains(s, "_") {
		return false
	}
	tag, err := language.Parse(s)
	return err == nil && !tag.IsRoot()
}

// checkText says what is wrong with an operator's text, or nothing.
func checkText(s string) string {
	if strings.TrimSpace(s) == "" {
		return "must not be empty; leave it out to use the shipped text"
	}
	if n := utf8.RuneCountInString(s); n > maxText {
		return "must have at most " + strconv.Itoa(maxText) + " characters, has " + strconv.Itoa(n)
	}
	for _, r := range s {
		if !printable(r) {
			return fmt.Sprintf("must not have control characters or others that XML forbids, has %U", r)
		}
	}
	const known = "{platform}, {device}, {time} and {seconds}"
	for rest := s; ; {
		i := strings.IndexAny(rest, "{}")
		if i < 0 {
			return ""
		}
		rest = rest[i:]
		end := strings.IndexByte(rest, '}')
		if end <= 0 {
			return "braces may stand only around a placeholder; the placeholders are " + known
		}
		name := rest[:end+1]
		switch name {
		case "{platform}", "{device}", "{time}", "{seconds}":
		default:
			return "unknown placeholder " + quoted(name) + "; the placeholders are " + known
		}
		rest = rest[end+1:]
	}
}
