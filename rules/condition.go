package rules

import (
	"cmp"
	"errors"
	"fmt"
	"regexp/syntax"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"cel.dev/cel-go/cel"
	celast "cel.dev/cel-go/common/ast"
	"cel.dev/cel-go/common/cost"
	"cel.dev/cel-go/common/types"
)

// Bounds of a condition. A login waits for it while its account's row is locked.
const (
	maxCondition     = 4096   // characters
	maxConditionCost = 10_000 // CEL's units, estimated for the longest texts, and again while it runs
	maxPatternSize   = 500    // instructions of a compiled regular expression
	maxNesting       = 32
)

// conditionTexts are the texts that a condition sees, with their longest lengths in characters: what is longer is cut. Their sizes bound the cost
// of regular expressions, which CEL cannot estimate otherwise.
var conditionTexts = map[string]int{
	"account.jid": 2047, "account.domain": 1023, "account.group": 255,
	"device.id": maxRunes, "device.platform": maxRunes, "device.identity": 16,
	"session.resource": 1023, "session.ip": maxRunes, "session.client": 256,
}

// Condition is a compiled condition. It is safe for concurrent use.
type Condition struct {
	program cel.Program
	err     error // it could not be compiled
}

// Compile checks a condition's types, its result and its cost, and makes it ready to run. Its error says what is wrong with line and column.
func Compile(text string) (*Condition, error) {
	if n := utf8.RuneCountInString(text); n > maxCondition {
		return nil, fmt.Errorf("must have at most %d characters, has %d", maxCondition, n)
	}
	env, err := conditionEnv()
	if err != nil {
		return nil, err
	}
	ast, issues := env.Compile(text)
	if errs := issues.Errors(); len(errs) > 0 {
		e := errs[0]
		return nil, at(e.Location.Line(), e.Location.Column(), e.Message)
	}
	if ast.OutputType() != types.BoolType {
		return nil, at(1, 0, "must yield true or false (bool), yields "+ast.OutputType().String())
	}
	if err := checkRegexes(ast.NativeRep()); err != nil {
		return nil, err
	}
	if err := checkZones(ast.NativeRep()); err != nil {
		return nil, err
	}
	estimate, err := env.EstimateCost(ast, sizes{})
	if err != nil {
		return nil, at(1, 0, err.Error())
	}
	if estimate.Max > maxConditionCost {
		return nil, at(1, 0, fmt.Sprintf("too costly: it may take %d units, %d are allowed; look at fewer or shorter texts", estimate.Max, maxConditionCost))
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize), cel.CostLimit(maxConditionCost))
	if err != nil {
		return nil, at(1, 0, err.Error())
	}
	return &Condition{program: program}, nil
}

// at says where a condition is wrong; column counts from 0 as CEL does. What it says may quote the condition, on one line.
func at(line, column int, message string) error {
	return fmt.Errorf("line %d, column %d: %s", max(line, 1), max(column, 0)+1, strings.Join(strings.Fields(cleanText(message)), " "))
}

// conditionEnv is made once: it says what a condition may name, and never changes.
var conditionEnv = sync.OnceValues(func() (*cel.Env, error) {
	options := []cel.EnvOption{
		cel.Variable("session.secure", cel.BoolType),
		cel.Variable("now", cel.TimestampType),
		cel.ParserExpressionSizeLimit(maxCondition),
		cel.ParserRecursionLimit(maxNesting),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateComprehensionNestingLimit(1)),
	}
	for name := range conditionTexts {
		options = append(options, cel.Variable(name, cel.StringType))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, fmt.Errorf("conditions: %w", err)
	}
	return env, nil
})

// checkRegexes bounds regular expressions before anything is compiled: a pattern that comes from a client would be another's program.
func checkRegexes(a *celast.AST) error {
	for _, call := range celast.MatchDescendants(celast.NavigateAST(a), celast.FunctionMatcher("matches")) {
		args := call.AsCall().Args()
		pattern := args[len(args)-1]
		where := a.SourceInfo().GetStartLocation(pattern.ID())
		var text string
		ok := pattern.Kind() == celast.LiteralKind
		if ok {
			text, ok = pattern.AsLiteral().Value().(string)
		}
		if !ok {
			return at(where.Line(), where.Column(), "the pattern of matches must be written out as a string")
		}
		re, err := syntax.Parse(text, syntax.Perl)
		if err != nil {
			return at(where.Line(), where.Column(), err.Error())
		}
		program, err := syntax.Compile(re.Simplify())
		if err != nil {
			return at(where.Line(), where.Column(), err.Error())
		}
		if n := len(program.Inst); n > maxPatternSize {
			return at(where.Line(), where.Column(), fmt.Sprintf("the pattern is too large: it has %d steps, %d are allowed; repeat less", n, maxPatternSize))
		}
	}
	return nil
}

// zoned are the functions that take a time zone.
var zoned = []string{
	"getFullYear", "getMonth", "getDayOfYear", "getDayOfMonth", "getDate", "getDayOfWeek", "getHours", "getMinutes", "getSeconds", "getMilliseconds",
}

// checkZones looks at the time zones that are written out: one that does not exist would make the condition false at every login.
func checkZones(a *celast.AST) error {
	for _, name := range zoned {
		for _, call := range celast.MatchDescendants(celast.NavigateAST(a), celast.FunctionMatcher(name)) {
			args := call.AsCall().Args()
			if len(args) != 1 || args[0].Kind() != celast.LiteralKind {
				continue
			}
			zone, ok := args[0].AsLiteral().Value().(string)
			if !ok || strings.Contains(zone, ":") { // an offset
				continue
			}
			if _, err := time.LoadLocation(zone); err != nil {
				where := a.SourceInfo().GetStartLocation(args[0].ID())
				return at(where.Line(), where.Column(), fmt.Sprintf("there is no time zone %q; write one of the IANA database, such as \"Asia/Tokyo\", or an offset, such as \"+09:00\"", zone))
			}
		}
	}
	return nil
}

// sizes tells CEL how long the texts are at most.
type sizes struct{}

// EstimateSize knows the variables.
func (sizes) EstimateSize(node cost.AstNode) *cost.SizeEstimate {
	if most, ok := conditionTexts[strings.Join(node.Path(), ".")]; ok {
		return &cost.SizeEstimate{Max: uint64(most)}
	}
	return nil
}

// EstimateCallCost leaves calls to CEL.
func (sizes) EstimateCallCost(string, string, *cost.AstNode, []cost.AstNode) *cost.CallEstimate {
	return nil
}

// holds runs the condition over a login. An error counts as false.
func (c *Condition) holds(f *Facts, now time.Time) (bool, error) {
	if c.err != nil {
		return false, c.err
	}
	out, _, err := c.program.Eval(&sight{f, now})
	if err != nil {
		return false, errors.New(strings.Join(strings.Fields(cleanText(err.Error())), " "))
	}
	yes, ok := out.Value().(bool)
	if !ok {
		return false, errors.New("it does not yield true or false")
	}
	return yes, nil
}

// sight is what a condition sees of a login (cel.Activation).
type sight struct {
	f   *Facts
	now time.Time
}

// Parent is nobody.
func (*sight) Parent() cel.Activation { return nil }

// ResolveName returns a variable's value.
func (s *sight) ResolveName(name string) (any, bool) {
	n := &s.f.Newcomer
	var text string
	switch name {
	case "account.jid":
		text = s.f.Account
	case "account.domain":
		_, text, _ = strings.Cut(s.f.Account, "@")
	case "account.group":
		text = s.f.Group
	case "device.id":
		text = n.DeviceID
	case "device.platform":
		text = platformOf(n.Platform)
	case "device.identity":
		text = string(cmp.Or(n.Identity, UnknownIdentity))
	case "session.resource":
		text = n.Resource
	case "session.ip":
		text = n.IP
	case "session.client":
		text = n.Client
	case "session.secure":
		return types.Bool(n.Secure), true
	case "now":
		return types.Timestamp{Time: s.now}, true
	default:
		return nil, false
	}
	if most := conditionTexts[name]; len(text) > most {
		text = bound(text, most)
	}
	return types.String(strings.ToValidUTF8(text, "\ufffd")), true
}

// condition judges the rule's condition over the newcomer.
func (h *hearing) condition() bool {
	text := h.f.Rule.Condition
	if text == nil {
		return true
	}
	c := h.f.Condition
	if c == nil {
		var err error
		if c, err = Compile(*text); err != nil {
			c = &Condition{err: err}
		}
	}
	var holds bool
	holds, h.conditionErr = c.holds(&h.f, h.now)
	return holds
}

func (h *hearing) tellCondition(t *story) {
	if h.f.Rule.Condition == nil {
		return
	}
	switch {
	case h.conditionErr != nil:
		t.say("The condition could not be evaluated, which counts as false (condition, ").say(setBy(h.level(fieldCondition))).say("): ")
		t.say(bound(h.conditionErr.Error(), 4*maxRunes)).say(".").end()
	case h.code == CodeCondition:
		t.say("The condition does not hold (condition, ").say(setBy(h.level(fieldCondition))).say(").").end()
	default:
		t.say("The condition holds (condition, ").say(setBy(h.level(fieldCondition))).say(").").end()
	}
}

// maxConditions bounds what Conditions keeps.
const maxConditions = 1024

// Conditions keeps compiled conditions by their text, 1,024 at most. The zero value is ready; it is safe for concurrent use.
type Conditions struct {
	mu   sync.RWMutex
	kept map[string]*Condition
}

// Get returns the compiled condition. One that cannot be compiled is always false, and says why.
func (c *Conditions) Get(text string) *Condition {
	c.mu.RLock()
	found := c.kept[text]
	c.mu.RUnlock()
	if found != nil {
		return found
	}
	made, err := Compile(text)
	if err != nil {
		made = &Condition{err: err}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept == nil || len(c.kept) >= maxConditions { // starting anew is rarer than it is dear
		c.kept = map[string]*Condition{}
	}
	c.kept[text] = made
	return made
}

func (p *parser) condition(at string) (*string, error) {
	const want = `must be a condition in CEL, such as "session.secure", or null for none`
	tok, err := p.next()
	if err != nil || tok == nil {
		return nil, err
	}
	text, ok := tok.(string)
	if !ok || strings.TrimSpace(text) == "" {
		return nil, invalid(at, want)
	}
	if _, err := Compile(text); err != nil {
		return nil, invalid(at, err.Error())
	}
	return &text, nil
}
