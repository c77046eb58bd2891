package store

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
)

func translate(err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		switch pg.Code {
		case "55P03":
			return ErrBusy
		case claimLost:
			return ErrClaimLost
		}
	}
	return err
}

// flush writes what was noted in all records and commits, in one round trip.
func (b *batch) flush(ctx context.Context) error {
	w := &writer{queue: &pgx.Batch{}}
	for _, r := range b.records {
		if r != nil && (!r.discarded || r.created) {
			w.collect(r)
		}
	}
	w.untouched.queue(w.queue, "delete from accounts where key = any($1)")
	w.accounts.queue(w.queue, `update accounts a set generation = u.generation, revision = u.revision, last_ask = u.last_ask, standing = u.standing, erasure = u.erasure
		from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::text[], $5::bytea[], $6::bigint[]) u(key, generation, revision, last_ask, standing, erasure) where a.key = u.key`)
	w.ended.queue(w.queue, `with gone as (
			delete from sessions s using unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::text[]) u(account, sid, at, reason)
			where s.account = u.account and s.sid = u.sid returning s.*, u.at, u.reason),
		seen as (update devices d set last_seen_at = gone.last_seen_at from gone
			where d.account = gone.account and d.id = gone.device and d.last_seen_at < gone.last_seen_at - interval '1 hour')
		insert into session_history (account, ended_at, generation, sid, link, resource, device, identity, platform, ip, secure, transport, client,
			decided_at, started_at, last_seen_at, end_reason, winner, kick)
		select account, at, generation, sid, link, resource, device, identity, platform, ip, secure, transport, client,
			decided_at, started_at, last_seen_at, reason, evict_winner, evict_kick from gone`)
	w.added.queue(w.queue, `insert into sessions (account, sid, generation, link, resource, state, device, identity, platform, ip, secure, transport, client_id, client, lang,
			ask_id, decided_at, bind_deadline, epoch, seq, started_at, last_seen_at, chosen)
		select * from unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[], $5::text[], $6::text[], $7::bigint[], $8::text[], $9::text[], $10::text[], $11::boolean[],
			$12::text[], $13::text[], $14::text[], $15::text[], $16::text[], $17::timestamptz[], $18::timestamptz[], $19::text[], $20::bigint[], $21::timestamptz[], $22::timestamptz[], $23::boolean[])`)
	w.changed.queue(w.queue, `update sessions s set resource = u.resource, state = u.state, ip = u.ip, secure = u.secure, decided_at = u.decided_at, bind_deadline = u.bind_deadline,
			epoch = u.epoch, seq = u.seq, last_seen_at = u.last_seen_at, device = u.device, identity = u.identity, platform = u.platform, client = u.client, paused_at = u.paused_at
		from unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::text[], $6::boolean[], $7::timestamptz[], $8::timestamptz[], $9::text[], $10::bigint[], $11::timestamptz[],
			$12::bigint[], $13::text[], $14::text[], $15::text[], $16::timestamptz[])
			u(account, sid, resource, state, ip, secure, decided_at, bind_deadline, epoch, seq, last_seen_at, device, identity, platform, client, paused_at)
		where s.account = u.account and s.sid = u.sid`)
	w.evictions.queue(w.queue, `update sessions s set evict_code = u.c, evict_winner = u.w, evict_own = u.o, evict_device = u.d, evict_platform = u.p, evict_kick = u.k,
			evict_text = u.t::jsonb, evict_at = u.r, evict_next = u.n, evict_attempts = u.m, still_present = u.b
		from unnest($1::uuid[], $2::text[], $3::text[], $4::bigint[], $5::boolean[], $6::text[], $7::text[], $8::bigint[], $9::text[], $10::timestamptz[], $11::timestamptz[],
			$12::integer[], $13::boolean[]) u(a, s, c, w, o, d, p, k, t, r, n, m, b)
		where s.account = u.a and s.sid = u.s`)
	w.decisions.queue(w.queue, `insert into decisions (account, at, ask_id, resource, device, platform, generation, outcome, code, evicted, rule_level, explanation, condition, retry_after, shadow, rule_field)
		select a, t, q, r, d, p, g, o, c, e::bigint[], l, string_to_array(x, E'\n'), n, s, h, f from unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::bigint[],
			$8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[], $14::integer[], $15::boolean[], $16::text[]) u(a, t, q, r, d, p, g, o, c, e, l, x, n, s, h, f)`)
	w.repeats.queue(w.queue, `update decisions d set repeats = u.n, last_at = u.l, ask_id = u.q, retry_after = u.s, condition = u.c, explanation = string_to_array(u.x, E'\n'), rule_field = u.f, rule_level = u.v
		from unnest($1::uuid[], $2::timestamptz[], $3::integer[], $4::timestamptz[], $5::text[], $6::integer[], $7::text[], $8::text[], $9::text[], $10::text[]) u(a, t, n, l, q, s, c, x, f, v)
		where d.account = u.a and d.at = u.t`)
	w.devices.queue(w.queue, insertDevices+`on conflict (account, id) do update set client = coalesce(excluded.client, devices.client), last_seen_at = excluded.last_seen_at,
			first_seen_at = case when devices.first_seen_at > '0001-01-02' then devices.first_seen_at else excluded.first_seen_at end`)
	w.managed.queue(w.queue, insertDevices+`on conflict (account, id) do update set identity = excluded.identity, name = excluded.name, platform = excluded.platform, registered = excluded.registered,
			blocked = excluded.blocked, cloned = excluded.cloned, client = excluded.client, first_seen_at = excluded.first_seen_at, last_seen_at = excluded.last_seen_at`)
	w.forgotten.queue(w.queue, `delete from devices d using unnest($1::uuid[], $2::bigint[]) u(account, id) where d.account = u.account and d.id = u.id`)
	w.unseen.queue(w.queue, `delete from devices d using unnest($1::uuid[], $2::bigint[], $3::timestamptz[]) u(account, id, at)
		where d.account = u.account and d.id = u.id and d.first_seen_at = u.at and not d.registered and not d.blocked and not d.cloned and d.name is null
			and not exists (select from sessions s where s.account = d.account and s.device = d.id)`)
	w.closed.queue(w.queue, `delete from loops l using unnest($1::uuid[], $2::bigint[]) u(account, party) where l.account = u.account and l.party = u.party`)
	w.opened.queue(w.queue, `insert into loops (account, party, winner, device, resource, opened_at, until)
		select * from unnest($1::uuid[], $2::bigint[], $3::bigint[], $4::bigint[], $5::text[], $6::timestamptz[], $7::timestamptz[])
		on conflict (account, party) do update set winner = excluded.winner, device = excluded.device, resource = excluded.resource, opened_at = excluded.opened_at, until = excluded.until`)
	w.disowned.queue(w.queue, disownSessions)
	w.kicks.queue(w.queue, `insert into kicks (account, id, requested_at, requested_by, selector, reason, sids)
		select a, i, t, b, s::jsonb, r, string_to_array(x, E'\n') from unnest($1::uuid[], $2::bigint[], $3::timestamptz[], $4::text[], $5::text[], $6::text[], $7::text[]) u(a, i, t, b, s, r, x)
		on conflict (account, id) do update set sids = kicks.sids || excluded.sids where kicks.id < 0`) // a kick may be tried again although it was committed; a job marks no session twice
	w.revocations.queue(w.queue)
	if len(w.events) > 0 {
		w.queue.Queue(insertEvents, eventArgs(b.now, w.events)...)
	}
	w.audit.queue(w.queue, insertAudit)
	for _, m := range w.made {
		m.queue(w.queue)
	}
	for _, r := range w.erased {
		queueErasure(w.queue, r)
	}
	w.queue.Queue("commit")
	return b.conn.SendBatch(ctx, w.queue).Close()
}

const insertDevices = `insert into devices (account, id, identity, user_agent_id, resource, name, platform, client, registered, blocked, cloned, first_seen_at, last_seen_at)
		select a, i, n, nullif(u, ''), nullif(r, ''), nullif(m, ''), nullif(p, ''), nullif(c, ''), g, b, k, f, l from unnest($1::uuid[], $2::bigint[], $3::text[], $4::text[], $5::text[], $6::text[],
			$7::text[], $8::text[], $9::boolean[], $10::boolean[], $11::boolean[], $12::timestamptz[], $13::timestamptz[]) x(a, i, n, u, r, m, p, c, g, b, k, f, l)
		`

// columns are the arrays of one multi-row statement, a column each.
type columns struct {
	cols []any
	rows int
}

func (c *columns) queue(q *pgx.Batch, sql string) {
	if c.rows > 0 {
		q.Queue(sql, c.cols...)
	}
}

// push appends a row; the first one fixes the columns' types.
func (c *columns) push(values ...any) {
	if c.cols == nil {
		c.cols = make([]any, len(values))
	}
	c.rows++
	for i, v := range values {
		switch v := v.(type) {
		case Key:
			c.cols[i] = grow(c.cols[i], pgtype.UUID{Bytes: v, Valid: true})
		case pgtype.UUID:
			c.cols[i] = grow(c.cols[i], v)
		case []byte:
			c.cols[i] = grow(c.cols[i], v)
		case string:
			c.cols[i] = grow(c.cols[i], v)
		case int64:
			c.cols[i] = grow(c.cols[i], v)
		case int32:
			c.cols[i] = grow(c.cols[i], v)
		case bool:
			c.cols[i] = grow(c.cols[i], v)
		case time.Time:
			c.cols[i] = grow(c.cols[i], v)
		case pgtype.Int8:
			c.cols[i] = grow(c.cols[i], v)
		case pgtype.Int4:
			c.cols[i] = grow(c.cols[i], v)
		case pgtype.Text:
			c.cols[i] = grow(c.cols[i], v)
		case pgtype.Timestamptz:
			c.cols[i] = grow(c.cols[i], v)
		default:
			panic("store: a column of an unknown type")
		}
	}
}

func grow[T any](col any, v T) any {
	s, _ := col.([]T)
	return append(s, v)
}

func optionalText(s string) pgtype.Text { return pgtype.Text{String: s, Valid: s != ""} }
func optional(n int64) pgtype.Int8      { return pgtype.Int8{Int64: n, Valid: n != 0} }
func optionalTime(t time.Time) pgtype.Timestamptz {
	return pgtype.Timestamptz{Time: t, Valid: !t.IsZero()}
}

type writer struct {
	queue                            *pgx.Batch
	accounts, kicks, disowned        columns
	opened, closed                   columns
	ended, added, changed, evictions columns
	decisions, repeats               columns
	devices, managed, forgotten      columns
	unseen                           columns
	revocations                      revocationColumns
	events                           []Event
	audit, untouched                 columns
	made                             []made
	erased                           []*Record
}

func (w *writer) collect(r *Record) {
	if r.created && (r.discarded || !r.changed && !r.asked && !r.restood) {
		w.untouched.push(r.Key) // it came to nothing: who was erased is not put on record again by a late report
		return
	}
	if r.discarded {
		return
	}
	if r.restood {
		r.Standing.prune(r)
		r.standing = r.Standing.encode()
	}
	if r.changed || r.asked || r.restood {
		w.accounts.push(r.Key, r.Generation, r.Revision, r.lastAsk, r.standing, optional(r.Erasure))
	}
	for _, s := range r.unseen {
		w.unseen.push(r.Key, s.Device, s.StartedAt)
	}
	for _, l := range r.closed {
		w.closed.push(r.Key, int64(l.Party))
	}
	for _, l := range r.opened {
		w.opened.push(r.Key, int64(l.Party), l.Winner, optional(l.Device), l.Resource, l.OpenedAt, l.Until)
	}
	for _, h := range r.history {
		if !h.isNew {
			w.ended.push(r.Key, h.SID, h.at, h.reason)
		}
	}
	for _, s := range r.Sessions {
		switch {
		case s.isNew:
			w.added.push(r.Key, s.SID, s.Generation, s.Link, s.Resource, string(s.State), optional(s.Device), string(s.Identity), s.Platform, s.IP, s.Secure, s.Transport,
				s.ClientID, s.Client, s.Lang, s.AskID, optionalTime(s.DecidedAt), optionalTime(s.BindDeadline), s.Epoch, s.Seq, s.StartedAt, s.LastSeenAt, s.Chosen)
		case s.dirty:
			w.changed.push(r.Key, s.SID, s.Resource, string(s.State), s.IP, s.Secure, optionalTime(s.DecidedAt), optionalTime(s.BindDeadline), s.Epoch, s.Seq, s.LastSeenAt,
				optional(s.Device), string(s.Identity), s.Platform, s.Client, optionalTime(s.PausedAt))
		}
		switch e := s.Eviction; {
		case e != nil && e.dirty:
			var text pgtype.Text
			if e.Text != nil {
				b, _ := json.Marshal(e.Text) // a map of strings always encodes
				text = pgtype.Text{String: string(b), Valid: true}
			}
			w.evictions.push(r.Key, s.SID, optionalText(e.Code), optional(e.Winner), e.Own, e.Device, e.Platform, optional(e.Kick), text, optionalTime(e.RequestedAt),
				optionalTime(e.NextAt), int32(e.Attempts), e.StillPresent)
		case e == nil && s.withdrawn:
			w.evictions.push(r.Key, s.SID, optionalText(""), optional(0), false, "", "", optional(0), pgtype.Text{}, optionalTime(time.Time{}), optionalTime(time.Time{}), int32(0), false)
		}
	}
	for _, d := range r.decisions {
		if d.Repeats > 0 {
			w.repeats.push(r.Key, d.At, int32(d.Repeats), r.Now, d.AskID, retryAfter(d), d.Condition, strings.Join(d.Explanation, "\n"), optionalText(d.RuleField), d.RuleLevel)
			continue
		}
		w.decisions.push(r.Key, d.At, d.AskID, d.Resource, optional(d.Device), d.Platform, optional(d.Generation), d.Outcome, d.Code, arrayLiteral(d.Evicted), d.RuleLevel,
			strings.Join(d.Explanation, "\n"), d.Condition, retryAfter(d), d.Shadow, optionalText(d.RuleField))
	}
	for _, d := range r.devices {
		columns := &w.devices
		switch {
		case d.forgotten:
			w.forgotten.push(r.Key, d.ID)
			continue
		case d.managed:
			columns = &w.managed
		}
		if d.dirty || d.managed {
			columns.push(r.Key, d.ID, string(d.Identity), d.UserAgentID, d.Resource, d.Name, d.Platform, d.Client, d.Registered, d.Blocked, d.Cloned, d.FirstSeenAt, d.LastSeenAt)
		}
	}
	for _, d := range r.disowned {
		w.disowned.push(r.Key, d.kick, d.sid)
	}
	for _, k := range r.kicks {
		w.kicks.push(r.Key, k.ID, r.Now, k.RequestedBy, string(k.Selector), k.Reason, strings.Join(k.SIDs, "\n"))
	}
	w.revocations.collect(r)
	w.events = append(w.events, r.events...)
	for _, a := range r.audit {
		a.push(&w.audit, r.Now)
	}
	w.made = append(w.made, r.made...)
	if r.Erasure != 0 && len(r.Sessions) == 0 {
		w.erased = append(w.erased, r)
	}
}

func retryAfter(d *Decision) pgtype.Int4 {
	return pgtype.Int4{Int32: int32(d.RetryAfter / time.Second), Valid: d.RetryAfter > 0}
}

func arrayLiteral(ns []int64) string {
	b := []byte{'{'}
	for i, n := range ns {
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendInt(b, n, 10)
	}
	return string(append(b, '}'))
}
