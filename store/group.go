package store

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Membership is a change of an account's group.
type Membership struct {
	JID   string // bare
	Group string // the new one; "": none
	From  string // only out of this one; "": out of any
}

// SetGroups puts accounts, each named once, into their groups, all or none, with the event rule.changed for each that changed; those are returned. An
// account that is not on record yet is put there if it gets a group. It holds from the account's next login on.
func (s *Store) SetGroups(ctx context.Context, changes []Membership, by string) (changed []Membership, err error) {
	changes = slices.Clone(changes)
	slices.SortFunc(changes, func(a, b Membership) int {
		x, y := KeyOf(a.JID), KeyOf(b.JID)
		return strings.Compare(string(x[:]), string(y[:]))
	})
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		changed = nil
		now, err := setGroups(ctx, tx, changes, func(m Membership) { changed = append(changed, m) })
		if err != nil || len(changed) == 0 {
			return err
		}
		events := make([]Event, len(changed))
		for i, m := range changed {
			data := map[string]any{"level": "group", "group": nil, "by": by}
			if m.Group != "" {
				data["group"] = m.Group
			}
			b, _ := json.Marshal(data) // strings always encode
			events[i] = Event{Type: "rule.changed", Account: m.JID, At: now, Data: b}
		}
		_, err = tx.Exec(ctx, insertEvents, eventArgs(now, events)...)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("set groups: %w", translate(err))
	}
	return changed, nil
}

// setGroups locks the accounts in the order in which everyone does, and writes what differs.
func setGroups(ctx context.Context, tx pgx.Tx, changes []Membership, tell func(Membership)) (now time.Time, err error) {
	if _, err := tx.Exec(ctx, `select set_config('lock_timeout', '5s', true)`); err != nil {
		return now, err
	}
	var fresh []string
	for _, m := range changes {
		if m.Group != "" {
			fresh = append(fresh, m.JID)
		}
	}
	domains := make([]string, len(fresh))
	for i, j := range fresh {
		domains[i] = domainOf(j)
	}
	freshKeys := uuids(len(fresh), func(i int) Key { return KeyOf(fresh[i]) })
	if _, err := tx.Exec(ctx, `insert into accounts (key, jid, domain) select * from unnest($1::uuid[], $2::text[], $3::text[]) on conflict do nothing`, freshKeys, fresh, domains); err != nil {
		return now, err
	}
	keys := uuids(len(changes), func(i int) Key { return KeyOf(changes[i].JID) })
	if _, err := tx.Exec(ctx, `select from accounts where key = any($1) order by key for update`, keys); err != nil {
		return now, err
	}
	if err := tx.QueryRow(ctx, `select clock_timestamp()`).Scan(&now); err != nil {
		return now, err
	}
	groups, from := make([]pgtype.Text, len(changes)), make([]pgtype.Text, len(changes))
	byKey := map[Key]Membership{}
	for i, m := range changes {
		groups[i], from[i] = optionalText(m.Group), optionalText(m.From)
		byKey[KeyOf(m.JID)] = m
	}
	rows, err := tx.Query(ctx, `update accounts a set account_group = u.g, revision = a.revision + 1 from unnest($1::uuid[], $2::text[], $3::text[]) u(key, g, f)
		where a.key = u.key and a.account_group is distinct from u.g and (u.f is null or a.account_group = u.f) returning a.key`, keys, groups, from)
	if err != nil {
		return now, err
	}
	defer rows.Close()
	for rows.Next() {
		var k pgtype.UUID
		if err := rows.Scan(&k); err != nil {
			return now, err
		}
		tell(byKey[k.Bytes])
	}
	return now, rows.Err()
}

// Group is a group as readers see it.
type Group struct {
	Name    string
	Members int64
	Rule    bool // it has a rule
}

// HasMember reports whether an account of one of the domains is in the group.
func (s *Store) HasMember(ctx context.Context, group string, domains []string) (bool, error) {
	var found bool
	if err := s.pool.QueryRow(ctx, `select exists (select from accounts where account_group = $1 and domain = any($2))`, group, domains).Scan(&found); err != nil {
		return false, fmt.Errorf("members: %w", err)
	}
	return found, nil
}
