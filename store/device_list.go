package store

import (
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// ListedDevice is a device as readers see it.
type ListedDevice struct {
	Device             // LastSeenAt is that of its sessions, if they were seen later
	Sessions  []int64  // generations of those that have not ended, the oldest first
	Platforms []string // theirs
}

const listedDevices = `select ` + deviceColumns + `, s.seen, coalesce(s.generations, '{}'), coalesce(s.platforms, '{}') from devices d cross join lateral (
	select max(s.last_seen_at) as seen, array_agg(s.generation order by s.generation) as generations, array_agg(s.platform order by s.generation) as platforms
	from sessions s where s.account = d.account and s.device = d.id) s`

// ListDevices returns an account's devices behind the id after, in order of id. A list read page by page has every device that is there all the
// while exactly once.
func (s *Store) ListDevices(ctx context.Context, account Key, after int64, limit int) ([]ListedDevice, error) {
	rows, err := s.pool.Query(ctx, listedDevices+` where d.account = $1 and d.id > $2 order by d.id limit $3`, uuidOf(account), after, limit)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	list, err := pgx.CollectRows(rows, scanListedDevice)
	if err != nil {
		return nil, fmt.Errorf("list devices: %w", err)
	}
	return list, nil
}

// FindDevice returns a device; ErrNotFound.
func (s *Store) FindDevice(ctx context.Context, account Key, id int64) (ListedDevice, error) {
	rows, err := s.pool.Query(ctx, listedDevices+` where d.account = $1 and d.id = $2`, uuidOf(account), id)
	if err != nil {
		return ListedDevice{}, fmt.Errorf("find device: %w", err)
	}
	d, err := pgx.CollectOneRow(rows, scanListedDevice)
	if errors.Is(err, pgx.ErrNoRows) {
		return d, ErrNotFound
	}
	if err != nil {
		return d, fmt.Errorf("find device: %w", err)
	}
	return d, nil
}

func scanListedDevice(row pgx.CollectableRow) (ListedDevice, error) {
	var d ListedDevice
	var k pgtype.UUID
	var seen pgtype.Timestamptz
	err := row.Scan(&k, &d.ID, &d.Identity, &d.UserAgentID, &d.Resource, &d.Name, &d.Platform, &d.Client, &d.Registered, &d.Blocked, &d.Cloned, &d.FirstSeenAt, &d.LastSeenAt,
		&seen, &d.Sessions, &d.Platforms)
	if seen.Valid && seen.Time.After(d.LastSeenAt) {
		d.LastSeenAt = seen.Time
	}
	return d, err
}
