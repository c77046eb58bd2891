package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/rules"
)

// langOfDomain is in the place of a rule's scope where levelRules finds a domain's language.
const langOfDomain = "lang"

// levelRules finds the rules of accounts, and the languages of their domains: $1 their bare JIDs, $2 their domains, $3 their keys, for their groups. There is
// always a default rule.
const levelRules = `select scope, subject, fields from rules where scope = 'default' and subject = ''
	union all select scope, subject, fields from rules where scope = 'account' and subject = any($1) and (expires_at is null or expires_at > clock_timestamp())
	union all select scope, subject, fields from rules where scope = 'domain' and subject = any($2)
	union all select '` + langOfDomain + `', name, to_jsonb(lang) from domains where name = any($2) and lang is not null
	union all select r.scope, r.subject, r.fields
		from (select distinct account_group from accounts where key = any($3) and account_group is not null) g join rules r on r.scope = 'group' and r.subject = g.account_group`

// levels are the rules of some accounts.
type levels struct {
	rules map[RuleScope]rules.LevelRule
	langs map[string]string // by domain
}

func (l *levels) add(scope, subject string, fields []byte) error {
	if scope == langOfDomain {
		var lang string
		if err := json.Unmarshal(fields, &lang); err != nil {
			return fmt.Errorf("the language of %q: %w", subject, err)
		}
		if l.langs == nil {
			l.langs = map[string]string{}
		}
		l.langs[subject] = lang
		return nil
	}
	rule, err := rules.Kept(fields)
	if err != nil {
		return fmt.Errorf("the kept rule of %s %q: %w", scope, subject, err)
	}
	if l.rules == nil {
		l.rules = map[RuleScope]rules.LevelRule{}
	}
	level := rules.Level(scope)
	l.rules[RuleScope{level, subject}] = rules.LevelRule{Level: level, Rule: rule}
	return nil
}

// of returns what is set for an account, the strongest first.
func (l *levels) of(jid, group string) []rules.LevelRule {
	out := make([]rules.LevelRule, 0, 2)
	for _, scope := range [...]RuleScope{{rules.LevelAccount, jid}, {rules.LevelGroup, group}, {rules.LevelDomain, domainOf(jid)}, {Level: rules.LevelDefault}} {
		if r, ok := l.rules[scope]; ok {
			out = append(out, r)
		}
	}
	return out
}

func domainOf(bareJID string) string {
	_, domain, _ := strings.Cut(bareJID, "@")
	return domain
}

// domainsOf returns each domain once.
func domainsOf(jids []string) []string {
	var out []string
	for _, j := range jids {
		if d := domainOf(j); !slices.Contains(out, d) {
			out = append(out, d)
		}
	}
	return out
}

// levels returns a function that gives the rules, strongest first, of each of the accounts.
func (s *Store) levels(ctx context.Context, jids []string) (func(jid string) []rules.LevelRule, error) {
	keys := uuids(len(jids), func(i int) Key { return KeyOf(jids[i]) })
	found, groups := &levels{}, map[string]string{}
	q := &pgx.Batch{}
	q.Queue(levelRules, jids, domainsOf(jids), keys).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var scope, subject string
			var fields []byte
			if err := rows.Scan(&scope, &subject, &fields); err != nil {
				return err
			}
			if err := found.add(scope, subject, fields); err != nil {
				return err
			}
		}
		return rows.Err()
	})
	q.Queue(`select jid, account_group from accounts where key = any($1) and account_group is not null`, keys).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var jid, group string
			if err := rows.Scan(&jid, &group); err != nil {
				return err
			}
			groups[jid] = group
		}
		return rows.Err()
	})
	if err := s.pool.SendBatch(ctx, q).Close(); err != nil {
		return nil, err
	}
	return func(jid string) []rules.LevelRule { return found.of(jid, groups[jid]) }, nil
}
