package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
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

// Regrouped counts the accounts whose group changed.
type Regrouped struct {
	Added   int `json:"added"`   // to a group
	Removed int `json:"removed"` // from one, into none
}

// SetGroups puts accounts, each named once, into their groups, all or none, with the event rule.changed for each that changed. An account that is not on
// record yet is put there if it gets a group. It holds from the account's next login on.
func (s *Store) SetGroups(ctx context.Context, changes []Membership, by Actor) (n Regrouped, err error) {
	if was, ok, err := Made[Regrouped](by); ok || err != nil {
		return was, err
	}
	changes = slices.Clone(changes)
	slices.SortFunc(changes, func(a, b Membership) int {
		x, y := KeyOf(a.JID), KeyOf(b.JID)
		return strings.Compare(string(x[:]), string(y[:]))
	})
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		var changed []Membership
		n = Regrouped{}
		now, err := setGroups(ctx, tx, changes, func(m Membership) { changed = append(changed, m) })
		if err != nil || len(changed) == 0 {
			return err
		}
		events, entries := make([]Event, len(changed)), make([]Entry, len(changed))
		for i, m := range changed {
			data := map[string]any{"level": "group", "group": nil, "by": by.String()}
			entries[i] = Entry{Action: GroupMembers, Account: m.JID, Target: cmp.Or(m.Group, m.From), Old: groupOf(m.From), New: groupOf(m.Group)}
			if m.Group != "" {
				data["group"] = m.Group
				n.Added++
			} else {
				n.Removed++
			}
			b, _ := json.Marshal(data) // strings always encode
			events[i] = Event{Type: "rule.changed", Account: m.JID, At: now, Data: b}
		}
		if _, err = tx.Exec(ctx, insertEvents, eventArgs(now, events)...); err != nil {
			return err
		}
		return audit(ctx, tx, by, n, entries...)
	})
	if err != nil {
		return n, fmt.Errorf("set groups: %w", translate(err))
	}
	return n, nil
}

func groupOf(name string) any {
	if name == "" {
		return nil
	}
	return name
}

// setGroups locks the accounts in the order in which everyone does, and writes what differs. It tells of each account that changed, with the group that it was in.
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
	keys := uuids(len(changes), func(i int) Key { return KeyOf(changes[i].JID) })
	if err := lockAccounts(ctx, tx, fresh, keys); err != nil {
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
	rows, err := tx.Query(ctx, `update accounts a set account_group = u.g, revision = a.revision + 1 from unnest($1::uuid[], $2::text[], $3::text[]) u(key, g, f) join accounts o on o.key = u.key
		where a.key = u.key and a.account_group is distinct from u.g and (u.f is null or a.account_group = u.f) returning a.key, coalesce(o.account_group, '')`, keys, groups, from)
	if err != nil {
		return now, err
	}
	defer rows.Close()
	grown := map[groupPart]int64{}
	for rows.Next() {
		var k pgtype.UUID
		var before string
		if err := rows.Scan(&k, &before); err != nil {
			return now, err
		}
		m := byKey[k.Bytes]
		m.From = before
		tell(m)
		grown[groupPart{m.Group, domainOf(m.JID)}]++
		grown[groupPart{before, domainOf(m.JID)}]--
	}
	if err := rows.Err(); err != nil {
		return now, err
	}
	return now, resizeGroups(ctx, tx, grown)
}

// groupPart is a group's accounts of one domain; without a group, those that are in none.
type groupPart struct{ group, domain string }

// resizeGroups keeps how many there are, in the order in which everyone does.
func resizeGroups(ctx context.Context, tx pgx.Tx, grown map[groupPart]int64) error {
	var groups, domains []string
	var by []int64
	for _, p := range slices.SortedFunc(maps.Keys(grown), func(a, b groupPart) int {
		return cmp.Or(strings.Compare(a.group, b.group), strings.Compare(a.domain, b.domain))
	}) {
		if p.group != "" && grown[p] != 0 {
			groups, domains, by = append(groups, p.group), append(domains, p.domain), append(by, grown[p])
		}
	}
	_, err := tx.Exec(ctx, `insert into group_sizes (account_group, domain, members) select g, d, n from unnest($1::text[], $2::text[], $3::bigint[]) with ordinality u(g, d, n, nth) order by nth
		on conflict (account_group, domain) do update set members = group_sizes.members + excluded.members`, groups, domains, by)
	return err
}

// Group is a group as readers see it.
type Group struct {
	Name    string
	Members int64
	Rule    bool // it has a rule
}

// KnowsGroup reports whether a group has an account, with domains not nil one of theirs, or, with domains nil, a rule.
func (s *Store) KnowsGroup(ctx context.Context, group string, domains []string) (known bool, err error) {
	err = s.pool.QueryRow(ctx, `select exists (select from group_sizes where account_group = $1 and members > 0 and ($2::text[] is null or domain = any($2)))
		or $2::text[] is null and exists (select from rules where scope = 'group' and subject = $1)`, group, domains).Scan(&known)
	if err != nil {
		return false, fmt.Errorf("knows group: %w", err)
	}
	return known, nil
}

// HasMember reports whether an account of one of the domains is in the group.
func (s *Store) HasMember(ctx context.Context, group string, domains []string) (bool, error) {
	var found bool
	if err := s.pool.QueryRow(ctx, `select exists (select from group_sizes where account_group = $1 and domain = any($2) and members > 0)`, group, domains).Scan(&found); err != nil {
		return false, fmt.Errorf("members: %w", err)
	}
	return found, nil
}
