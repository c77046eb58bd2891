package client

import (
	"context"
	"iter"
	"net/http"
)

// Domain is a virtual host.
type Domain struct {
	Name     string `json:"domain"`
	Accounts int64  `json:"accounts"` // on record
	Rule     bool   `json:"rule"`     // it has one
	Lang     string `json:"lang"`     // of texts to its accounts (BCP 47); "": none
}

// ListDomains lists the domains that have an account on record or a rule, by name.
func (c *Client) ListDomains(ctx context.Context, o ListOptions) iter.Seq2[Domain, error] {
	return list[Domain](ctx, c, o, nil, "/v1/domains")
}

// DomainLang is the language of texts to a domain's accounts.
type DomainLang struct {
	Domain string `json:"domain"`
	Lang   string `json:"lang"` // BCP 47; "": none
}

// ChangeDomain sets the language (BCP 47) of texts to a domain's accounts, where neither their client nor they themselves have one; "" is none.
func (c *Client) ChangeDomain(ctx context.Context, domain, lang string) (*DomainLang, error) {
	d, _, err := send[DomainLang](ctx, c, request{method: http.MethodPatch, body: langOf(lang), changes: true}, "/v1/domains/%s", domain)
	return d, err
}
