package rules

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"unicode/utf8"
)

// Subject is what a matcher looks at. What is not known is empty.
type Subject struct {
	Account  string // bare JID
	Group    string // of the account
	DeviceID string // public id
	IP       string
	Resource string // claimed by the client
	Client   string // claimed by the client: "Name (OS) category/type" of its disco identity, as far as known
}

// identity is the disco identity at the end of Client (XEP-0030), as in client/pc; "": not known.
func (s *Subject) identity() string {
	last := s.Client[strings.LastIndexByte(s.Client, ' ')+1:]
	if strings.HasPrefix(last, "client/") {
		return last
	}
	return ""
}

// Matcher describes sessions. All fields that are given have to match; an empty one is not given. Account, group, resource, client and identity are globs: * for
// any characters, ? for one, ASCII letters of either case alike.
type Matcher struct {
	Platform string `json:"platform,omitempty"` // what a match means, of the matchers of platforms
	Account  string `json:"account,omitempty"`  // bare JID
	Group    string `json:"group,omitempty"`    // of the account
	DeviceID string `json:"device_id,omitempty"`
	CIDR     string `json:"cidr,omitempty"` // addresses, such as 192.0.2.0/24
	Resource string `json:"resource,omitempty"`
	Client   string `json:"client,omitempty"`   // software name
	Identity string `json:"identity,omitempty"` // disco identity (XEP-0030), category/type: client/pc
	// TrustClientClaims lets an exemption rest on resource, client or identity, which anyone can choose.
	TrustClientClaims bool `json:"trust_client_claims,omitempty"`
}

// Matchers is an ordered list.
type Matchers []Matcher

// Match reports whether the matcher fits. One without any pattern fits nothing.
func (m Matcher) Match(s Subject) bool {
	return m.given() &&
		(m.Resource == "" || Glob(m.Resource, s.Resource)) &&
		(m.Client == "" || Glob(m.Client, s.Client)) &&
		(m.Identity == "" || Glob(m.Identity, s.identity())) &&
		(m.Account == "" || Glob(m.Account, s.Account)) &&
		(m.Group == "" || Glob(m.Group, s.Group)) &&
		(m.DeviceID == "" || m.DeviceID == s.DeviceID) &&
		(m.CIDR == "" || within(m.CIDR, s.IP))
}

func (m Matcher) given() bool {
	return m.Resource != "" || m.asks() || m.Account != "" || m.Group != "" || m.DeviceID != "" || m.CIDR != ""
}

// asks reports whether the matcher is about what a client tells when it is asked.
func (m *Matcher) asks() bool { return m.Client != "" || m.Identity != "" }

// Hinges reports whether another platform could come out if the subject's client were known.
func (ms Matchers) Hinges(s Subject) bool {
	for _, m := range ms {
		if m.Match(s) {
			return false
		}
		if m.asks() {
			m.Client, m.Identity = "", ""
			if !m.given() || m.Match(s) {
				return true
			}
		}
	}
	return false
}

// MindsClient reports whether the rule looks at what a client tells when it is asked.
func (e *Effective) MindsClient() bool {
	return slices.ContainsFunc(e.Exempt, func(m Matcher) bool { return m.asks() }) || e.Condition != nil && strings.Contains(*e.Condition, "client")
}

// fits reports whether any of the matchers does.
func (ms Matchers) fits(s Subject) bool {
	return slices.ContainsFunc(ms, func(m Matcher) bool { return m.Match(s) })
}

func within(cidr, ip string) bool {
	prefix, err := netip.ParsePrefix(cidr)
	if err != nil {
		return false
	}
	addr, err := netip.ParseAddr(ip)
	return err == nil && prefix.Contains(addr.Unmap().WithZone(""))
}

// matcherKind is what a list of matchers is for.
type matcherKind struct {
	fields  []string
	example string
}

// Names of a matcher's fields, as they are in JSON.
const (
	matcherPlatform = "platform"
	matcherAccount  = "account"
	matcherGroup    = "group"
	matcherDevice   = "device_id"
	matcherCIDR     = "cidr"
	matcherResource = "resource"
	matcherClient   = "client"
	matcherIdentity = "identity"
	matcherTrust    = "trust_client_claims"
)

func platformMatcher() matcherKind {
	return matcherKind{[]string{matcherPlatform, matcherAccount, matcherGroup, matcherDevice, matcherCIDR, matcherResource, matcherClient, matcherIdentity}, `[{"platform": "ios", "resource": "iphone*"}]`}
}

func exemptMatcher() matcherKind {
	return matcherKind{[]string{matcherAccount, matcherGroup, matcherDevice, matcherCIDR, matcherResource, matcherClient, matcherIdentity, matcherTrust}, `[{"account": "*-bot@example.org"}]`}
}

func (p *parser) matchers(at string, most int, kind matcherKind) (Matchers, error) {
	ms := Matchers{}
	err := p.array(at, "must be a list of matchers, such as "+kind.example, func(here string) error {
		if len(ms) == most {
			return invalid(here, fmt.Sprintf("at most %d matchers can be given", most))
		}
		m, err := p.matcher(here, kind)
		ms = append(ms, m)
		return err
	})
	return ms, err
}

func (p *parser) matcher(at string, kind matcherKind) (Matcher, error) {
	var m Matcher
	err := p.object(at, "must be an object such as "+strings.Trim(kind.example, "[]"), func(name, here string) error {
		if !slices.Contains(kind.fields, name) {
			return &FieldError{UnknownField, here, "unknown field " + quoted(name) + "; a matcher here has " + strings.Join(kind.fields, ", ")}
		}
		if name == matcherTrust {
			var err error
			m.TrustClientClaims, err = p.boolean(here)
			return err
		}
		text, err := p.text(here)
		if err != nil {
			return err
		}
		return m.set(name, here, text)
	})
	claims := slices.Contains(kind.fields, matcherTrust) && !m.TrustClientClaims
	const claim = `is what a client claims about itself; give "trust_client_claims": true beside it to trust that`
	switch {
	case err != nil:
		return m, err
	case slices.Contains(kind.fields, matcherPlatform) && m.Platform == "":
		return m, invalid(at+"/"+matcherPlatform, "must be there: the platform of what matches")
	case !m.given():
		return m, invalid(at, "must have at least one pattern")
	case claims && m.Resource != "":
		return m, invalid(at+"/"+matcherResource, claim)
	case claims && m.Client != "":
		return m, invalid(at+"/"+matcherClient, claim)
	case claims && m.Identity != "":
		return m, invalid(at+"/"+matcherIdentity, claim)
	}
	return m, nil
}

const maxPattern = 256 // characters

func (m *Matcher) set(name, at, text string) error {
	switch name {
	case matcherPlatform:
		if !platformName(text) {
			return invalid(at, "a platform's name must be 1 to 64 printable characters")
		}
		m.Platform = text
	case matcherCIDR:
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix.Addr().Is4In6() {
			return invalid(at, `must be a range of addresses, such as "192.0.2.0/24" or "2001:db8::/32"; a single address ends in /32 or /128`)
		}
		m.CIDR = text
	case matcherDevice:
		if !strings.HasPrefix(text, "dev_") || len(text) > maxRunes || clean(text) != text {
			return invalid(at, `must be the id of a device, which begins with "dev_"`)
		}
		m.DeviceID = text
	default:
		if problem := checkPattern(text); problem != "" {
			return invalid(at, problem)
		}
		switch name {
		case matcherAccount:
			m.Account = text
		case matcherGroup:
			m.Group = text
		case matcherResource:
			m.Resource = text
		case matcherIdentity:
			m.Identity = text
		default:
			m.Client = text
		}
	}
	return nil
}

// checkPattern says why a text is no pattern, or nothing. What other systems read as more than text is refused: it would silently match nothing.
func checkPattern(s string) string {
	switch n := utf8.RuneCountInString(s); {
	case strings.TrimSpace(s) == "":
		return "a pattern must not be empty"
	case n > maxPattern:
		return fmt.Sprintf("a pattern must have at most %d characters, has %d", maxPattern, n)
	}
	for _, r := range s {
		if !printable(r) {
			return fmt.Sprintf("a pattern must not have control characters, has %U", r)
		}
	}
	if i := strings.IndexAny(s, `[]{}\`); i >= 0 {
		return "a pattern has * for any characters and ? for one; " + quoted(s[i:i+1]) + " is not known there: write ? for it"
	}
	return ""
}
