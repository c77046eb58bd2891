package store

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Erasing an account goes in three steps, and a crash between any two instructions loses none. First the account is marked (Record.Erase), and its sessions are
// kicked. The transaction that leaves it without a live session deletes its rows, all of which are few and found by its key, and puts the rest on a list.
// EraseSome works that list off: history, decisions, the audit, and at last the event log, in which an account can only be looked for.

// EventErased is what is left in the log of an event about an account that was erased: its place. Readers pass over it.
const EventErased = "erased"

// Erase has everything about the account erased as soon as it has no live session; in this transaction, if it has none now.
func (r *Record) Erase(erasure int64) {
	r.Erasure = erasure
	r.Touch()
}

// queueErasure deletes an account's rows. What has ended is remembered for a while by the server's session ids alone, so that a late report cannot bring it back.
func queueErasure(q *pgx.Batch, r *Record) {
	key := uuidOf(r.Key)
	q.Queue(`insert into erased_sessions (account, sid, at) select account, sid, max(ended_at) from session_history where account = $1 and ended_at > $2 group by account, sid
		on conflict (account, sid) do update set at = excluded.at`, key, r.Now.Add(-erasedKept))
	for _, table := range []string{"devices", "loops", "kicks", "revocations", "idempotency_keys"} {
		q.Queue("delete from "+table+" where account = $1", key)
	}
	q.Queue("delete from rules where scope = 'account' and subject = $1", r.JID)
	q.Queue("update group_sizes set members = members - 1 where account_group = $1 and domain = $2", r.Group, domainOf(r.JID))
	q.Queue("delete from accounts where key = $1", key)
	q.Queue("insert into erasures (account, id, jid, erased_at) values ($1, $2, $3, $4)", key, r.Erasure, r.JID, r.Now)
}

// erasedKept is how long sessions of erased accounts are remembered: as long as the history is looked at for late reports.
const erasedKept = 24 * time.Hour

// FindErasure returns the erasure of an account that goes on, the latest; ErrNotFound if there is none, or nothing is left to erase.
func (s *Store) FindErasure(ctx context.Context, account Key) (erasure int64, err error) {
	err = s.pool.QueryRow(ctx, `select id from (select erasure as id, 'infinity' as at from accounts where key = $1 and erasure is not null
		union all select id, erased_at from erasures where account = $1) e order by at desc limit 1`, uuidOf(account)).Scan(&erasure)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return 0, ErrNotFound
	case err != nil:
		return 0, fmt.Errorf("find erasure: %w", err)
	}
	return erasure, nil
}

// Erasing returns accounts that are to be erased and have a live session which nobody wants to go, or none at all: that one was ended by a bindgate that knew nothing
// of erasures.
func (s *Store) Erasing(ctx context.Context, limit int) ([]string, error) {
	return s.jids(ctx, "accounts to be erased", `select jid from accounts where erasure is not null and (exists (select from sessions where account = key and evict_code is null)
		or not exists (select from sessions where account = key)) limit $1`, limit)
}

// eraseBatch is how many rows, or batches of events, are looked at in one transaction.
const eraseBatch = 5000

type erasure struct {
	Account  pgtype.UUID
	ID       int64
	JID      string
	ErasedAt time.Time
}

// EraseSome does a bounded piece of what is left to erase; more: there may be more. Any number of processes may call it at once.
func (s *Store) EraseSome(ctx context.Context) (more bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, "select account, id, jid, erased_at from erasures where not cleaned order by erased_at limit 1 for update skip locked")
		if err != nil {
			return err
		}
		e, err := pgx.CollectOneRow(rows, pgx.RowToStructByPos[erasure])
		if errors.Is(err, pgx.ErrNoRows) { // or others have them all
			return nil
		}
		if err != nil {
			return err
		}
		more = true
		return eraseHistory(ctx, tx, e)
	})
	if err != nil {
		return false, fmt.Errorf("erase history: %w", err)
	}
	if more {
		return true, nil
	}
	return s.eraseEvents(ctx)
}

// eraseHistory erases a piece of what is kept by time, or, when none is left, what is left of the account in the audit and the jobs. The caller has the erasure's
// row, so nobody else is at it; rows that somebody has for another reason are waited for, since none may be taken for gone.
func eraseHistory(ctx context.Context, tx pgx.Tx, e erasure) error {
	for _, sql := range []string{
		`delete from session_history h using (select account, ended_at, generation from session_history where account = $1 and ended_at <= $2 limit $3) o
			where h.account = o.account and h.ended_at = o.ended_at and h.generation = o.generation`,
		`delete from decisions d using (select account, at from decisions where account = $1 and at <= $2 limit $3) o where d.account = o.account and d.at = o.at`,
	} {
		tag, err := tx.Exec(ctx, sql, e.Account, e.ErasedAt, eraseBatch)
		if err != nil || tag.RowsAffected() > 0 {
			return err
		}
	}
	// That something was done to somebody stays; who it was does not. Ids carry the account's key.
	if _, err := tx.Exec(ctx, `update audit set account = null, jid = '', target = $3, old = null, new = null, outcome = null,
			actor = case via when 'owner' then $3 else actor end, address = case via when 'owner' then '' else address end
		where account = $1 and at <= $2`, e.Account, e.ErasedAt, ErasureID(e.ID)); err != nil {
		return err
	}
	if _, err := tx.Exec(ctx, `with gone as (delete from jobs where filter ->> 'level' = 'account' and filter ->> 'subject' = $1 and requested_at <= $2 returning id)
		delete from job_parts using gone where job = gone.id`, e.JID, e.ErasedAt); err != nil {
		return err
	}
	_, err := tx.Exec(ctx, "update erasures set cleaned = true where account = $1 and id = $2", e.Account, e.ID)
	return err
}

// eraseEvents looks at the next batches of the event log for all erasures that have come as far. Those that are farthest go first, so that each walk ends, and
// takes along all that were waiting when it began.
func (s *Store) eraseEvents(ctx context.Context) (more bool, err error) {
	err = pgx.BeginFunc(ctx, s.pool, func(tx pgx.Tx) error {
		rows, err := tx.Query(ctx, `select account, id, jid, erased_at, walked from erasures e
			where cleaned and walked = (select max(walked) from erasures where cleaned) order by account, id for update skip locked`)
		if err != nil {
			return err
		}
		var from int64
		var accounts, jids []string
		var ids []int64
		var until []time.Time
		list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e erasure, err error) {
			err = row.Scan(&e.Account, &e.ID, &e.JID, &e.ErasedAt, &from)
			return e, err
		})
		if err != nil || len(list) == 0 {
			return err
		}
		for _, e := range list {
			accounts, jids, ids, until = append(accounts, e.Account.String()), append(jids, e.JID), append(ids, e.ID), append(until, e.ErasedAt)
		}
		var to int64 // null if nothing is behind
		if err := tx.QueryRow(ctx, "select coalesce(max(id), 0) from (select id from event_batches where id > $1 order by id limit $2) b", from, eraseBatch).Scan(&to); err != nil {
			return err
		}
		more = true
		if to == 0 {
			for _, e := range list {
				if err := audit(ctx, tx, Actor{Subject: "erasure"}, nil, Entry{Action: AccountErased, Domain: domainOf(e.JID), Target: ErasureID(e.ID)}); err != nil {
					return err
				}
			}
			_, err := tx.Exec(ctx, "delete from erasures e using unnest($1::uuid[], $2::bigint[]) u(account, id) where e.account = u.account and e.id = u.id", accounts, ids)
			return err
		}
		// What targets of webhooks answered to an event may say of it what it said.
		if _, err := tx.Exec(ctx, blankAnswers, from, to, jids, until); err != nil {
			return err
		}
		tag, err := tx.Exec(ctx, `update event_batches b set types = u.types, accounts = u.accounts, data = u.data from (
				select b.id, b.at, array_agg(case when e.jid is null then x.type else '`+EventErased+`' end order by x.n) as types,
					array_agg(case when e.jid is null then x.account else '' end order by x.n) as accounts, array_agg(case when e.jid is null then x.data else '{}' end order by x.n) as data
				from event_batches b cross join unnest(b.types, b.accounts, b.data) with ordinality x(type, account, data, n)
					left join unnest($3::text[], $4::timestamptz[]) e(jid, until) on e.jid = x.account and b.at <= e.until
				where b.id > $1 and b.id <= $2 and b.accounts && $3::text[] group by b.id, b.at) u
			where b.id = u.id and b.at = u.at`, from, to, jids, until)
		if err != nil {
			return err
		}
		if tag.RowsAffected() > 0 {
			if _, err := tx.Exec(ctx, "update event_erasures set count = count + 1"); err != nil {
				return err
			}
		}
		_, err = tx.Exec(ctx, "update erasures e set walked = $3 from unnest($1::uuid[], $2::bigint[]) u(account, id) where e.account = u.account and e.id = u.id", accounts, ids, to)
		return err
	})
	if err != nil {
		return false, fmt.Errorf("erase events: %w", err)
	}
	return more, nil
}

// blankAnswers forgets how the deliveries of events that are erased ended, in words.
const blankAnswers = `update webhook_deliveries d set answer = null, error = null
	from event_batches b join event_positions p on p.batch = b.id and p.at = b.at, unnest(b.accounts) with ordinality x(account, n), unnest($3::text[], $4::timestamptz[]) e(jid, until), webhooks w
	where b.id > $1 and b.id <= $2 and p.batch > $1 and p.batch <= $2 and b.accounts && $3::text[] and e.jid = x.account and b.at <= e.until
		and d.webhook = w.id and d.id = p.first + x.n - 1 and (d.answer is not null or d.error is not null)`
