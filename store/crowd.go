package store

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/bindgate/bindgate/rules"
)

// Crowd is the accounts that a rule can hold for and that have a live session which may stay; of a kick's, those that have one which the kick is for.
type Crowd struct {
	RuleScope
	Link    string   // only those with such a session on it; "": on any
	Domains []string // only those of these domains; nil: all

	kick  *BulkKick
	until time.Time // of the kick: its sessions began before
}

// from returns what finds the crowd's accounts behind a key, a page of them or more accounts than belong to it.
func (c Crowd) from() string {
	switch c.Level {
	case rules.LevelAccount:
		return "(select key from accounts where key = @key and key > @after)"
	case rules.LevelGroup:
		return "(select key from accounts where account_group = @subject and key > @after order by key limit @limit)"
	case rules.LevelDomain, rules.LevelDefault:
	}
	return "(select distinct account as key from sessions where account > @after order by key limit @limit)"
}

// live is the condition for an account a to have a session that counts.
func (c Crowd) live() string {
	return "exists (select from sessions s where s.account = a.key and " + c.session() + " and (@link = '' or s.link = @link))"
}

// session is the condition for a session s to count.
func (c Crowd) session() string {
	if c.kick == nil {
		return "s.evict_code is null"
	}
	return c.kick.where()
}

// where returns the condition for an account a to belong to the crowd, if it has such a session.
func (c Crowd) where() string {
	sql := "(@domains::text[] is null or a.domain = any(@domains))"
	switch c.Level {
	case rules.LevelAccount:
		sql += " and a.key = @key"
	case rules.LevelGroup:
		sql += " and a.account_group = @subject"
	case rules.LevelDomain:
		sql += " and a.domain = @subject"
	case rules.LevelDefault:
	}
	return sql
}

func (c Crowd) args(after Key, limit int) pgx.NamedArgs {
	args := pgx.NamedArgs{"subject": c.Subject, "key": uuidOf(KeyOf(c.Subject)), "link": c.Link, "domains": c.Domains, "after": uuidOf(after), "limit": limit}
	if c.kick != nil {
		c.kick.args(args, c.until)
	}
	return args
}

// CrowdPage is a piece of a walk through a crowd in the order of the accounts' keys.
type CrowdPage struct {
	JIDs []string
	Last Key  // where the next page begins
	More bool // there may be a next page
}

// Walk looks at up to limit accounts behind a key and returns those that belong to the crowd. A page costs the same however few do.
func (s *Store) Walk(ctx context.Context, c Crowd, after Key, limit int) (CrowdPage, error) {
	page := CrowdPage{Last: after}
	looked := 0
	q := guardedRead()
	q.Queue("select a.key, a.jid, "+c.live()+" and "+c.where()+" from "+c.from()+" p join accounts a on a.key = p.key order by a.key", c.args(after, limit)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			var key pgtype.UUID
			var jid string
			var belongs bool
			if err := rows.Scan(&key, &jid, &belongs); err != nil {
				return err
			}
			looked++
			page.Last = key.Bytes
			if belongs {
				page.JIDs = append(page.JIDs, jid)
			}
		}
		return rows.Err()
	})
	q.Queue("commit")
	if err := s.pool.SendBatch(ctx, q).Close(); err != nil {
		return page, fmt.Errorf("walk accounts: %w", err)
	}
	page.More = looked == limit
	return page, nil
}
