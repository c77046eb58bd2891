package client

import (
	"context"
	"encoding/json"
	"time"
)

// GetDefaultRule returns the default rule.
func (c *Client) GetDefaultRule(ctx context.Context) (*StoredRule, error) {
	return c.getRule(ctx, "/v1/rules/default")
}

// PutDefaultRule replaces the default rule whole.
func (c *Client) PutDefaultRule(ctx context.Context, r Rule, o RuleOptions) (*StoredRule, error) {
	return c.putRule(ctx, r, o, "/v1/rules/default")
}

// DeleteDefaultRule unsets every field of the default rule. With ApplyNow it returns the id of the kick that follows.
func (c *Client) DeleteDefaultRule(ctx context.Context, o RuleOptions) (kickID string, err error) {
	return c.deleteRule(ctx, o, "/v1/rules/default")
}

// GetDomainRule returns a domain's rule; ErrNotFound if it is unset.
func (c *Client) GetDomainRule(ctx context.Context, domain string) (*StoredRule, error) {
	return c.getRule(ctx, "/v1/domains/%s/rule", domain)
}

// PutDomainRule replaces a domain's rule whole. The domain need not have an account yet.
func (c *Client) PutDomainRule(ctx context.Context, domain string, r Rule, o RuleOptions) (*StoredRule, error) {
	return c.putRule(ctx, r, o, "/v1/domains/%s/rule", domain)
}

// DeleteDomainRule unsets a domain's rule. With ApplyNow it returns the id of the kick that follows.
func (c *Client) DeleteDomainRule(ctx context.Context, domain string, o RuleOptions) (kickID string, err error) {
	return c.deleteRule(ctx, o, "/v1/domains/%s/rule", domain)
}

// GetGroupRule returns a group's rule; ErrNotFound if it is unset.
func (c *Client) GetGroupRule(ctx context.Context, group string) (*StoredRule, error) {
	return c.getRule(ctx, "/v1/groups/%s/rule", group)
}

// PutGroupRule replaces a group's rule whole.
func (c *Client) PutGroupRule(ctx context.Context, group string, r Rule, o RuleOptions) (*StoredRule, error) {
	return c.putRule(ctx, r, o, "/v1/groups/%s/rule", group)
}

// DeleteGroupRule unsets a group's rule. With ApplyNow it returns the id of the kick that follows.
func (c *Client) DeleteGroupRule(ctx context.Context, group string, o RuleOptions) (kickID string, err error) {
	return c.deleteRule(ctx, o, "/v1/groups/%s/rule", group)
}

// GetAccountRule returns an account's own rule; ErrNotFound if it has none, or it has expired.
func (c *Client) GetAccountRule(ctx context.Context, jid string) (*StoredRule, error) {
	return c.getRule(ctx, "/v1/accounts/%s/rule", jid)
}

// accountRule is an account's own rule on the wire.
type accountRule struct {
	Rule
	expiresAt time.Time
}

// MarshalJSON implements json.Marshaler.
func (r accountRule) MarshalJSON() ([]byte, error) {
	beside := unknown{}
	if !r.expiresAt.IsZero() {
		b, err := json.Marshal(r.expiresAt)
		if err != nil {
			return nil, err
		}
		beside["expires_at"] = b
	}
	return encodeKeeping(r.Rule, beside)
}

// PutAccountRule replaces an account's own rule whole. The account need not have logged in before. At expiresAt, unless that is zero, the rule goes by itself.
func (c *Client) PutAccountRule(ctx context.Context, jid string, r Rule, expiresAt time.Time, o RuleOptions) (*StoredRule, error) {
	return c.putRule(ctx, accountRule{r, expiresAt}, o, "/v1/accounts/%s/rule", jid)
}

// DeleteAccountRule unsets an account's own rule. With ApplyNow it returns the id of the kick that follows.
func (c *Client) DeleteAccountRule(ctx context.Context, jid string, o RuleOptions) (kickID string, err error) {
	return c.deleteRule(ctx, o, "/v1/accounts/%s/rule", jid)
}
