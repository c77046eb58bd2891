package store

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// LiveSessions returns the live sessions of accounts, which are distinct, by their keys, the oldest first in each.
func (s *Store) LiveSessions(ctx context.Context, jids []string) (map[Key][]ListedSession, error) {
	keys := make([]pgtype.UUID, len(jids))
	names := make(map[Key]string, len(jids))
	for i, jid := range jids {
		k := KeyOf(jid)
		keys[i], names[k] = uuidOf(k), jid
	}
	rows, err := s.pool.Query(ctx, `select s.account, '', '', s.sid, s.generation, s.link, s.resource, case when s.evict_code is null then s.state else 'evicting' end,
			coalesce(s.device, 0), s.identity, s.platform, s.ip, s.secure, s.client, s.decided_at, s.started_at, s.last_seen_at, null::timestamptz, '', coalesce(s.still_present, false)
		from sessions s where s.account = any($1) order by s.account, s.generation`, keys)
	if err != nil {
		return nil, fmt.Errorf("live sessions: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanListedSession)
	if err != nil {
		return nil, fmt.Errorf("live sessions: %w", err)
	}
	out := make(map[Key][]ListedSession, len(jids))
	for _, l := range list {
		l.JID = names[l.Key]
		l.Domain = domainOf(l.JID)
		out[l.Key] = append(out[l.Key], l)
	}
	return out, nil
}
