package client

import (
	"context"
	"net/http"
)

// Platforms is how platforms are told. Fields of a newer bindgate that this client does not know are kept.
type Platforms struct {
	Matchers []PlatformMatcher   `json:"matchers"` // the first that fits gives a session its platform; none: "unknown"
	Groups   map[string][]string `json:"groups,omitzero"`
	ETag     string              `json:"-"` // as it was read; for RuleOptions.IfMatch
	Warnings []string            `json:"-"` // after a change: what was accepted and is probably not meant

	more unknown
}

type plainPlatforms Platforms

// MarshalJSON implements json.Marshaler.
func (p Platforms) MarshalJSON() ([]byte, error) {
	if p.Matchers == nil {
		p.Matchers = []PlatformMatcher{}
	}
	return encodeKeeping(plainPlatforms(p), p.more)
}

// UnmarshalJSON implements json.Unmarshaler.
func (p *Platforms) UnmarshalJSON(b []byte) error {
	var v struct {
		plainPlatforms
		Warnings []string `json:"warnings,omitempty"`
	}
	more, err := decodeKeeping(b, &v)
	if err != nil {
		return err
	}
	*p = Platforms(v.plainPlatforms)
	p.Warnings, p.more = v.Warnings, more
	return nil
}

// PlatformMatcher gives a session its platform if all other fields fit. Texts are globs, as in Matcher.
type PlatformMatcher struct {
	Platform string `json:"platform"`
	Account  string `json:"account,omitzero"`
	Group    string `json:"group,omitzero"`
	DeviceID string `json:"device_id,omitzero"`
	CIDR     string `json:"cidr,omitzero"`
	Resource string `json:"resource,omitzero"`
	Client   string `json:"client,omitzero"`
	Identity string `json:"identity,omitzero"`

	more unknown
}

type plainPlatformMatcher PlatformMatcher

// MarshalJSON implements json.Marshaler.
func (m PlatformMatcher) MarshalJSON() ([]byte, error) {
	return encodeKeeping(plainPlatformMatcher(m), m.more)
}

// UnmarshalJSON implements json.Unmarshaler.
func (m *PlatformMatcher) UnmarshalJSON(b []byte) error {
	var p plainPlatformMatcher
	more, err := decodeKeeping(b, &p)
	if err != nil {
		return err
	}
	*m = PlatformMatcher(p)
	m.more = more
	return nil
}

// GetPlatforms returns how platforms are told.
func (c *Client) GetPlatforms(ctx context.Context) (*Platforms, error) {
	return c.platforms(ctx, request{method: http.MethodGet})
}

// PutPlatforms replaces how platforms are told, whole. It holds from each account's next login on. RuleOptions.Apply is not for it.
func (c *Client) PutPlatforms(ctx context.Context, p Platforms, o RuleOptions) (*Platforms, error) {
	r := o.request(http.MethodPut)
	r.body = p
	return c.platforms(ctx, r)
}

func (c *Client) platforms(ctx context.Context, r request) (*Platforms, error) {
	p, h, err := send[Platforms](ctx, c, r, "/v1/platforms")
	if err != nil {
		return nil, err
	}
	p.ETag = h.Get("ETag")
	return p, nil
}
