package store

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// exported is all that is kept about an account ($1 its key, $2 its JID, $3 since when it is on record): a row of the record is an element of its section. What tells only
// the record's own keys, and what could be misused, is left out.
var exported = []struct{ section, sql string }{
	{"account", `select to_jsonb(x) - 'key' - 'standing' from accounts x where key = $1`},
	{"rule", `select to_jsonb(x) from rules x where scope = 'account' and subject = $2`},
	{"sessions", `select to_jsonb(x) - 'account' from sessions x where account = $1 order by generation`},
	{"session_history", `select to_jsonb(x) - 'account' from session_history x where account = $1 order by ended_at, generation`},
	{"devices", `select to_jsonb(x) - 'account' from devices x where account = $1 order by id`},
	{"decisions", `select to_jsonb(x) - 'account' from decisions x where account = $1 order by at`},
	{"kicks", `select to_jsonb(x) - 'account' from kicks x where account = $1 order by id`},
	{"revocations", `select to_jsonb(x) - 'account' from revocations x where account = $1 order by kick`},
	{"loops", `select to_jsonb(x) - 'account' from loops x where account = $1 order by party`},
	{"jobs", `select to_jsonb(x) from jobs x where filter ->> 'level' = 'account' and filter ->> 'subject' = $2 order by id`},
	{"audit", `select to_jsonb(x) - 'account' from audit x where account = $1 order by at, id`},
	// An account can only be looked for in the log.
	{"events", `select jsonb_build_object('at', b.at, 'type', e.type, 'account', e.account, 'data', e.data::jsonb) from event_batches b,
		unnest(b.types, b.accounts, b.data) with ordinality e(type, account, data, n) where b.at >= $3 and b.accounts @> array[$2::text] and e.account = $2 order by b.id, e.n`},
}

// Export tells all that is kept about an account, as of one moment: each section once with a nil row, then its rows. It holds one row at a time. The first error of emit ends
// it. ErrNotFound before anything is told if the account is not on record.
func (s *Store) Export(ctx context.Context, bareJID string, emit func(section string, row json.RawMessage) error) error {
	key := KeyOf(bareJID)
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "set local timezone = 'UTC'"); err != nil {
			return err
		}
		var since time.Time
		var standing []byte
		err := tx.QueryRow(ctx, "select created_at, standing from accounts where key = $1", uuidOf(key)).Scan(&since, &standing)
		if errors.Is(err, pgx.ErrNoRows) {
			return ErrNotFound
		}
		if err != nil {
			return err
		}
		if err := exportStanding(standing, emit); err != nil {
			return err
		}
		for _, e := range exported {
			// Each statement names all arguments, so that their types are known.
			if err := exportSection(ctx, tx, e.section, "with args as (select $1::uuid, $2::text, $3::timestamptz) "+e.sql, emit, uuidOf(key), bareJID, since); err != nil {
				return fmt.Errorf("%s: %w", e.section, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("export: %w", err)
	}
	return nil
}

func exportSection(ctx context.Context, tx pgx.Tx, section, sql string, emit func(string, json.RawMessage) error, args ...any) error {
	if err := emit(section, nil); err != nil {
		return err
	}
	rows, err := tx.Query(ctx, sql, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var row json.RawMessage
		if err := rows.Scan(&row); err != nil {
			return err
		}
		if err := emit(section, row); err != nil {
			return err
		}
	}
	return rows.Err()
}

// exportStanding tells what is packed into the account's row.
func exportStanding(packed []byte, emit func(string, json.RawMessage) error) error {
	var s Standing
	if packed != nil {
		var err error
		if s, err = decodeStanding(packed); err != nil {
			return err
		}
	}
	type party struct {
		Device   int64     `json:"device,omitempty"`
		Resource string    `json:"resource"`
		Winner   int64     `json:"winner,omitempty"`
		At       time.Time `json:"at,omitzero"`
		Until    time.Time `json:"until,omitzero"`
	}
	type grant struct {
		Device   int64     `json:"device,omitempty"`
		Resource string    `json:"resource,omitempty"`
		Expires  time.Time `json:"expires_at"`
		By       string    `json:"by"`
		Used     bool      `json:"used"`
	}
	type denied struct {
		Code    string    `json:"code"`
		At      time.Time `json:"at"`
		Repeats int       `json:"repeats"`
	}
	sections := []struct {
		name string
		rows []any
	}{{"protection", nil}, {"grants", nil}, {"denials", nil}}
	for _, d := range s.Displaced {
		sections[0].rows = append(sections[0].rows, party{Device: d.Device, Resource: d.Resource, Winner: d.Winner, At: d.At.UTC()})
	}
	for _, w := range s.Waits {
		sections[0].rows = append(sections[0].rows, party{Device: w.Device, Resource: w.Resource, Until: w.Until.UTC()})
	}
	for _, g := range s.Grants {
		sections[1].rows = append(sections[1].rows, grant{g.Device, g.Resource, g.Expires.UTC(), g.By, g.Used})
	}
	for _, d := range s.Denials {
		sections[2].rows = append(sections[2].rows, denied{d.Code, d.At.UTC(), d.Repeats})
	}
	for _, section := range sections {
		if err := emit(section.name, nil); err != nil {
			return err
		}
		for _, row := range section.rows {
			b, err := json.Marshal(row)
			if err != nil {
				return err
			}
			if err := emit(section.name, b); err != nil {
				return err
			}
		}
	}
	return nil
}
