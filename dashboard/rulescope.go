package dashboard

import (
	"errors"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/bindgate/bindgate/client"
)

// ruleScope is where a rule is set.
type ruleScope struct {
	Level   client.Level
	Subject string // the domain, the group or the bare JID; "" of the default
}

var defaultScope = ruleScope{Level: client.LevelDefault}

// scopeOf reads the scope that a request names.
func scopeOf(q url.Values) (ruleScope, error) {
	s := ruleScope{client.Level(q.Get("level")), strings.TrimSpace(q.Get("subject"))}
	switch s.Level {
	case client.LevelDefault:
		s.Subject = ""
		return s, nil
	case client.LevelDomain, client.LevelGroup, client.LevelAccount:
		if s.Subject != "" {
			return s, nil
		}
	}
	return s, refuse(http.StatusNotFound)
}

// Edit is the address of the scope's editor.
func (s ruleScope) Edit() string { return s.at("/rules/edit") }

// Delete is the address of the question whether the scope's rule is to go.
func (s ruleScope) Delete() string { return s.at("/rules/delete") }

// Page is the address of the page about the scope's subject.
func (s ruleScope) Page() string {
	switch s.Level {
	case client.LevelAccount:
		return link("/account", "jid", s.Subject)
	case client.LevelGroup:
		return link("/rules/group", "name", s.Subject)
	case client.LevelDomain:
		return link("/rules/domain", "name", s.Subject)
	case client.LevelDefault:
	}
	return Root + "/rules"
}

func (s ruleScope) at(path string) string {
	return link(path, "level", string(s.Level), "subject", s.Subject)
}

// Account reports whether the rule is an account's own: it alone can expire.
func (s ruleScope) Account() bool { return s.Level == client.LevelAccount }

// mayChange reports whether the user may change the scope's rule: what concerns all domains is not for who is limited to some.
func (v *visit) mayChange(level client.Level) bool {
	return v.may(Admin) && (v.user.Domains == nil || level == client.LevelDomain || level == client.LevelAccount)
}

// storedRule reads a scope's rule; one that is unset is empty and has no ETag.
func (v *visit) storedRule(s ruleScope) (*client.StoredRule, error) {
	var r *client.StoredRule
	var err error
	switch s.Level {
	case client.LevelAccount:
		r, err = v.api().GetAccountRule(v.ctx, s.Subject)
	case client.LevelGroup:
		r, err = v.api().GetGroupRule(v.ctx, s.Subject)
	case client.LevelDomain:
		r, err = v.api().GetDomainRule(v.ctx, s.Subject)
	case client.LevelDefault:
		r, err = v.api().GetDefaultRule(v.ctx)
	}
	if errors.Is(err, client.ErrNotFound) {
		return &client.StoredRule{}, nil
	}
	return r, err
}

// putRule writes a scope's rule, for the one time of a posted form.
func (v *visit) putRule(s ruleScope, r client.Rule, expires time.Time, o client.RuleOptions) (*client.StoredRule, error) {
	ctx := v.once()
	switch s.Level {
	case client.LevelAccount:
		return v.api().PutAccountRule(ctx, s.Subject, r, expires, o)
	case client.LevelGroup:
		return v.api().PutGroupRule(ctx, s.Subject, r, o)
	case client.LevelDomain:
		return v.api().PutDomainRule(ctx, s.Subject, r, o)
	case client.LevelDefault:
	}
	return v.api().PutDefaultRule(ctx, r, o)
}

// deleteRule unsets a scope's rule, likewise.
func (v *visit) deleteRule(s ruleScope, o client.RuleOptions) (kick string, err error) {
	ctx := v.once()
	switch s.Level {
	case client.LevelAccount:
		return v.api().DeleteAccountRule(ctx, s.Subject, o)
	case client.LevelGroup:
		return v.api().DeleteGroupRule(ctx, s.Subject, o)
	case client.LevelDomain:
		return v.api().DeleteDomainRule(ctx, s.Subject, o)
	case client.LevelDefault:
	}
	return v.api().DeleteDefaultRule(ctx, o)
}

// under are the rules that speak where the scope's does not, the strongest first. For a group that is the default alone: its members' domains differ.
func (v *visit) under(s ruleScope) ([]levelRule, error) {
	var scopes []ruleScope
	switch s.Level {
	case client.LevelAccount:
		account, err := v.api().GetAccount(v.ctx, s.Subject)
		switch {
		case err == nil && account.Group != "":
			scopes = append(scopes, ruleScope{client.LevelGroup, account.Group})
		case err != nil && !errors.Is(err, client.ErrNotFound):
			return nil, err
		}
		_, domain, _ := strings.Cut(s.Subject, "@")
		scopes = append(scopes, ruleScope{client.LevelDomain, domain}, defaultScope)
	case client.LevelGroup, client.LevelDomain:
		scopes = append(scopes, defaultScope)
	case client.LevelDefault:
	}
	var levels []levelRule
	for _, at := range scopes {
		r, err := v.storedRule(at)
		if err != nil {
			return nil, err
		}
		levels = append(levels, levelRule{at.Level, r.Rule})
	}
	return levels, nil
}

// isConflict reports whether a change was refused because what it changes is another by now.
func isConflict(err error) bool { return errors.Is(err, client.ErrPreconditionFailed) }

// over is the condition that a rule is still as it was when it was read; none had no ETag.
func over(etag string) client.RuleOptions {
	if etag == "" {
		return client.RuleOptions{IfNoneMatch: "*"}
	}
	return client.RuleOptions{IfMatch: etag}
}
