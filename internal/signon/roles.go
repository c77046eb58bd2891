package signon

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	"github.com/bindgate/bindgate/internal/people"
	"github.com/bindgate/bindgate/store"
)

// Roles say what people may do here, by what the provider says of them.
type Roles struct {
	Claim        string                // that names groups or roles: a text or a list of texts; "": groups
	Of           map[string]store.Role // by these names; Anybody is everybody whom the provider lets in
	DomainsClaim string                // that names domains: a list of texts, or one with spaces; AllDomains in it is all. "": nobody is limited
}

// Names that stand for all.
const (
	Anybody    = "*" // in Roles.Of
	AllDomains = "*" // in the claim of domains
)

// claims are what the provider says of somebody.
type claims map[string]any

// find returns a claim by its name, or else by a path of names with dots between them, as in realm_access.roles.
func (c claims) find(name string) any {
	if v, ok := c[name]; ok {
		return v
	}
	head, rest, ok := strings.Cut(name, ".")
	if !ok {
		return nil
	}
	inner, _ := c[head].(map[string]any)
	return claims(inner).find(rest)
}

// texts are those of a claim that is a text or a list; false: it is neither.
func (c claims) texts(name string) (list []string, ok bool) {
	switch v := c.find(name).(type) {
	case string:
		return []string{v}, true
	case []any:
		for _, e := range v {
			if s, ok := e.(string); ok {
				list = append(list, s)
			}
		}
		return list, true
	}
	return nil, false
}

func (r Roles) claim() string {
	if r.Claim == "" {
		return "groups"
	}
	return r.Claim
}

// toldBy reports whether the claims hold all that is asked for.
func (r Roles) toldBy(c claims) bool {
	_, ok := c.texts(r.claim())
	if r.DomainsClaim != "" {
		_, limited := c.texts(r.DomainsClaim)
		ok = ok && limited
	}
	return ok
}

// of returns what somebody may do: by the highest role of those that are named. ErrRefused if none is, or no domain where one is asked for.
func (r Roles) of(c claims) (role store.Role, domains []string, err error) {
	groups, _ := c.texts(r.claim())
	for _, g := range append(groups, Anybody) {
		if named, ok := r.Of[g]; ok && named.Covers(role) || ok && role == "" {
			role = named
		}
	}
	if role == "" {
		return "", nil, fmt.Errorf("%w: none of the names in the claim %s has a role here", ErrRefused, r.claim())
	}
	if r.DomainsClaim == "" {
		return role, nil, nil
	}
	named, _ := c.texts(r.DomainsClaim)
	for _, text := range named {
		for _, d := range strings.Fields(text) {
			if d == AllDomains {
				return role, nil, nil
			}
			domains = append(domains, d)
		}
	}
	if domains, err = people.Domains(domains); err != nil {
		return "", nil, fmt.Errorf("%w: the claim %s: %w", ErrRefused, r.DomainsClaim, err)
	}
	return role, domains, nil
}

// name is what somebody is called here.
func (c claims) name(subject string) string {
	for _, claim := range []string{"preferred_username", "email", "name", "sub"} {
		s, _ := c[claim].(string)
		if name, err := people.Name(strings.ReplaceAll(strings.TrimSpace(s), " ", ".")); err == nil {
			return name
		}
	}
	sum := sha256.Sum256([]byte(subject))
	return "user-" + hex.EncodeToString(sum[:4])
}
