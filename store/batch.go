package store

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Fence proves that its holder owned a link when it was given. The zero Fence is of no link: for changes that do not come from one.
type Fence struct {
	Link   string
	Number int32 // of the link's advisory lock
	Value  int64
}

// Want names an account and what is to be loaded beside its row, sessions and rules.
type Want struct {
	Key     Key
	JID     string   // needed to create
	Create  bool     // make the account's row if there is none
	AskID   string   // load the decision that this ask already got
	Devices []int64  // load these devices
	Known   bool     // load the devices of its live sessions too, those that their resources stand for, and those whose ids several clients show
	SIDs    []string // tell which of these, if not live, have ended
}

// Mode says what Batch does about an account that another transaction holds.
type Mode int

// The modes of Batch.
const (
	SkipBusy Mode = iota // leave it out and go on
	WaitBusy             // wait for it, a second at most
	look                 // lock nothing and write nothing
)

// ErrBusy is returned under WaitBusy when the account stayed locked.
var ErrBusy = errors.New("store: the account is locked by another transaction")

// Batch runs one transaction over the accounts of wants, which are distinct: it locks their rows, loads each in later statements (so that
// nothing is read from before the lock), calls apply once for each, and writes and commits all changes. apply gets the index in wants, and nil
// for an account that does not exist and was not to be created. The indices of accounts that were left out because another transaction held them
// are returned. On an error nothing was written, whatever apply did.
//
// apply must not block: the rows are locked while it runs.
func (s *Store) Batch(ctx context.Context, fence Fence, mode Mode, wants []Want, apply func(i int, r *Record)) (busy []int, err error) {
	return s.batch(ctx, fence, mode, wants, apply)
}

// Look is Batch of one account that locks nothing and writes nothing, whatever apply notes: what would happen now.
func (s *Store) Look(ctx context.Context, want Want, apply func(r *Record)) error {
	_, err := s.batch(ctx, Fence{}, look, []Want{want}, func(_ int, r *Record) { apply(r) })
	return err
}

func (s *Store) batch(ctx context.Context, fence Fence, mode Mode, wants []Want, apply func(i int, r *Record)) (busy []int, err error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	defer conn.Release()
	b := &batch{conn: conn.Conn(), wants: wants, index: make(map[Key]int, len(wants)), records: make([]*Record, len(wants))}
	for i, w := range wants {
		b.index[w.Key] = i
	}
	defer func() {
		if (err != nil || mode == look) && !conn.Conn().IsClosed() {
			rollback, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
			defer cancel()
			if _, rerr := conn.Exec(rollback, "rollback"); rerr != nil {
				err = errors.Join(err, fmt.Errorf("rollback: %w", rerr))
			}
		}
	}()
	if err := b.load(ctx, fence, mode); err != nil {
		return nil, translate(err)
	}
	if b.platforms, err = s.platformsAt(ctx, b.conn, b.platformsVersion); err != nil {
		return nil, fmt.Errorf("batch: %w", err)
	}
	if busy, err = b.create(ctx, mode); err != nil {
		return nil, translate(err)
	}
	if err := b.loadAnswered(ctx); err != nil {
		return nil, fmt.Errorf("batch: decisions: %w", err)
	}
	if err := b.loadEnded(ctx); err != nil {
		return nil, fmt.Errorf("batch: history: %w", err)
	}
	skip := make(map[int]bool, len(busy))
	for _, i := range busy {
		skip[i] = true
	}
	for i := range wants {
		if !skip[i] {
			if r := b.records[i]; r != nil {
				r.Platforms = b.platforms.Platforms
			}
			apply(i, b.records[i])
		}
	}
	if mode == look {
		return nil, nil
	}
	if err := b.flush(ctx); err != nil {
		return nil, translate(fmt.Errorf("batch: write: %w", err))
	}
	return busy, nil
}

type batch struct {
	conn    *pgx.Conn
	wants   []Want
	index   map[Key]int
	records []*Record
	now     time.Time
	levels  levels

	linkMode string

	platforms        *KeptPlatforms
	platformsVersion int64
}

func uuids(n int, key func(i int) Key) []pgtype.UUID {
	out := make([]pgtype.UUID, n)
	for i := range out {
		out[i] = pgtype.UUID{Bytes: key(i), Valid: true}
	}
	return out
}

// guard bounds what a frozen process can hold up, and keeps PostgreSQL to plans that find rows by their keys, made once: every statement of a batch
// is such, whatever the statistics of a young or fast-growing table say.
//
// The link's advisory lock is shared by everyone who writes for the link; a new owner takes it alone, so it waits for those writes and fences the next.
const (
	guard = `select set_config('lock_timeout', '1s', true), set_config('idle_in_transaction_session_timeout', '2s', true),
		set_config('plan_cache_mode', 'force_generic_plan', true), set_config('enable_seqscan', 'off', true),
		set_config('enable_hashjoin', 'off', true), set_config('enable_mergejoin', 'off', true), set_config('jit', 'off', true)`
	guardLink = guard + `, pg_advisory_xact_lock_shared($1, $2)`
)

func (b *batch) load(ctx context.Context, fence Fence, mode Mode) error {
	keys := uuids(len(b.wants), func(i int) Key { return b.wants[i].Key })
	var subjects []string
	var deviceKeys []pgtype.UUID
	var devices []int64
	var known []pgtype.UUID
	for i, w := range b.wants {
		subjects = append(subjects, w.JID)
		if w.Known {
			known = append(known, keys[i])
		}
		for _, d := range w.Devices {
			deviceKeys, devices = append(deviceKeys, keys[i]), append(devices, d)
		}
	}
	q := &pgx.Batch{}
	q.Queue("begin")
	if fence.Link == "" {
		q.Queue(guard)
	} else {
		q.Queue(guardLink, linkLockClass, fence.Number)
	}
	lock := "select key, jid, domain, generation, revision, coalesce(lang, ''), coalesce(account_group, ''), last_ask, standing, coalesce(erasure, 0) from accounts where key = any($1) order by key"
	switch mode {
	case SkipBusy:
		lock += " for update skip locked"
	case WaitBusy:
		lock += " for update"
	case look:
	}
	q.Queue(lock, keys).Query(b.scanAccounts)
	q.Queue(loadSessions, keys).Query(b.scanSessions)
	// There is always a default rule; its row brings the clock after the locks, the fence, the link's mode, and which platforms there are.
	q.Queue(`select scope, subject, fields, clock_timestamp(), coalesce((select fence from links where name = $4), 0),
			coalesce((select mode from links where name = $4), '`+Enforcing+`'), (select version from platforms) from (`+levelRules+`) r`,
		subjects, domainsOf(subjects), keys, fence.Link).
		Query(func(rows pgx.Rows) error { return b.scanRules(rows, fence.Value) })
	q.Queue(loadDevices, keys, deviceKeys, devices).Query(b.scanDevices)
	if len(known) > 0 {
		q.Queue("select "+deviceColumns+` from devices d where d.account = any($1) and (d.cloned or exists (
			select from sessions s where s.account = d.account and (s.device = d.id or s.resource = d.resource)))`, known).Query(b.scanDevices)
	}
	if err := b.conn.SendBatch(ctx, q).Close(); err != nil {
		return fmt.Errorf("batch: load: %w", err)
	}
	for _, r := range b.records {
		if r != nil {
			b.finish(r)
		}
	}
	return nil
}

func (b *batch) finish(r *Record) {
	r.Now = b.now
	r.LinkMode = b.linkMode
	r.Levels = b.levels.of(r.JID, r.Group)
	r.DomainLang = b.levels.langs[r.Domain]
	slices.SortFunc(r.Sessions, func(x, y *Session) int { return cmp.Compare(x.Generation, y.Generation) })
}

func (b *batch) scanAccounts(rows pgx.Rows) error {
	for rows.Next() {
		r := &Record{}
		var k pgtype.UUID
		if err := rows.Scan(&k, &r.JID, &r.Domain, &r.Generation, &r.Revision, &r.Lang, &r.Group, &r.lastAsk, &r.standing, &r.Erasure); err != nil {
			return err
		}
		r.Key = k.Bytes
		if r.standing != nil {
			var err error
			if r.Standing, err = decodeStanding(r.standing); err != nil {
				// To forget a cooldown is better than to be unable to decide about the account ever again.
				r.Spoiled, r.restood = true, true
			}
		}
		b.records[b.index[r.Key]] = r
	}
	return rows.Err()
}

const loadSessions = `select s.account, s.sid, s.generation, s.link, s.resource, s.state, s.device, s.identity, s.platform, s.ip, s.secure, s.client, s.lang,
		 s.ask_id, s.decided_at, s.bind_deadline, s.epoch, s.seq, s.started_at, s.last_seen_at, s.chosen, s.paused_at,
		s.evict_code, s.evict_winner, s.evict_own, s.evict_device, s.evict_platform, s.evict_kick, s.evict_text, s.evict_at, s.evict_next, s.evict_attempts, s.still_present
	from sessions s where s.account = any($1)`

func (b *batch) scanSessions(rows pgx.Rows) error {
	for rows.Next() {
		s := &Session{}
		var k pgtype.UUID
		var device, winner, kick pgtype.Int8
		var code, toldDevice, toldPlatform pgtype.Text
		var own, still pgtype.Bool
		var attempts pgtype.Int4
		var text map[string]string
		var decided, deadline, paused, requested, next pgtype.Timestamptz
		if err := rows.Scan(&k, &s.SID, &s.Generation, &s.Link, &s.Resource, &s.State, &device, &s.Identity, &s.Platform, &s.IP, &s.Secure, &s.Client, &s.Lang,
			&s.AskID, &decided, &deadline, &s.Epoch, &s.Seq, &s.StartedAt, &s.LastSeenAt, &s.Chosen, &paused,
			&code, &winner, &own, &toldDevice, &toldPlatform, &kick, &text, &requested, &next, &attempts, &still); err != nil {
			return err
		}
		s.Device, s.DecidedAt, s.BindDeadline, s.PausedAt = device.Int64, decided.Time, deadline.Time, paused.Time
		if code.Valid {
			s.Eviction = &Eviction{
				Code: code.String, Winner: winner.Int64, Own: own.Bool, Device: toldDevice.String, Platform: toldPlatform.String, Kick: kick.Int64, Text: text,
				RequestedAt: requested.Time, NextAt: next.Time, Attempts: int(attempts.Int32), StillPresent: still.Bool,
			}
		}
		// An account that another transaction holds was not locked: what is read of it may be stale and is left alone.
		if r := b.records[b.index[k.Bytes]]; r != nil {
			r.Sessions = append(r.Sessions, s)
		}
	}
	return rows.Err()
}

func (b *batch) scanRules(rows pgx.Rows, fence int64) error {
	for rows.Next() {
		var scope, subject string
		var fields []byte
		var found int64
		if err := rows.Scan(&scope, &subject, &fields, &b.now, &found, &b.linkMode, &b.platformsVersion); err != nil {
			return err
		}
		if found != fence {
			return ErrFenced
		}
		if err := b.levels.add(scope, subject, fields); err != nil {
			return err
		}
	}
	return rows.Err()
}

// loadDevices finds the registered devices of $1, for the sessions that they have, and those that are named.
const loadDevices = "select " + deviceColumns + ` from (select * from devices where account = any($1) and registered
		union all select n.* from unnest($2::uuid[], $3::bigint[]) w(account, id)
			cross join lateral (select * from devices d where d.account = w.account and d.id = w.id and not d.registered limit 1) n) d`

const deviceColumns = `d.account, d.id, d.identity, coalesce(d.user_agent_id, ''), coalesce(d.resource, ''), coalesce(d.name, ''), coalesce(d.platform, ''),
	coalesce(d.client, ''), d.registered, d.blocked, d.cloned, d.first_seen_at, d.last_seen_at`

func (b *batch) scanDevices(rows pgx.Rows) error {
	for rows.Next() {
		d := &Device{}
		var k pgtype.UUID
		if err := rows.Scan(&k, &d.ID, &d.Identity, &d.UserAgentID, &d.Resource, &d.Name, &d.Platform, &d.Client, &d.Registered, &d.Blocked, &d.Cloned, &d.FirstSeenAt, &d.LastSeenAt); err != nil {
			return err
		}
		if r := b.records[b.index[k.Bytes]]; r != nil {
			if r.devices == nil {
				r.devices = map[int64]*Device{}
			}
			r.devices[d.ID] = d
		}
	}
	return rows.Err()
}

func (b *batch) scanAnswered(rows pgx.Rows) error {
	for rows.Next() {
		d := &Decision{}
		var k pgtype.UUID
		var retry int
		if err := rows.Scan(&k, &d.At, &d.AskID, &d.Resource, &d.Device, &d.Platform, &d.Generation, &d.Outcome, &d.Code, &d.Evicted, &d.RuleLevel, &d.Condition, &retry, &d.Shadow); err != nil {
			return err
		}
		d.RetryAfter = time.Duration(retry) * time.Second
		if r := b.records[b.index[k.Bytes]]; r != nil {
			r.Answered = d
		}
	}
	return rows.Err()
}

// create makes the rows of accounts that are new and finds out which of the missing ones are only held by another transaction.
func (b *batch) create(ctx context.Context, mode Mode) (busy []int, err error) {
	var missing []int
	for i, r := range b.records {
		if r == nil && (b.wants[i].Create || mode == SkipBusy) {
			missing = append(missing, i)
		}
	}
	if len(missing) == 0 {
		return nil, nil
	}
	if mode == look {
		for _, i := range missing {
			r := &Record{Account: Account{Key: b.wants[i].Key, JID: b.wants[i].JID, Domain: domainOf(b.wants[i].JID)}, created: true}
			b.records[i] = r
			b.finish(r)
		}
		return nil, nil
	}
	slices.SortFunc(missing, func(x, y int) int { return strings.Compare(string(b.wants[x].Key[:]), string(b.wants[y].Key[:])) })
	var fresh []int
	for _, i := range missing {
		if b.wants[i].Create {
			fresh = append(fresh, i)
		}
	}
	q := &pgx.Batch{}
	if len(fresh) > 0 {
		keys := uuids(len(fresh), func(i int) Key { return b.wants[fresh[i]].Key })
		jids, domains := make([]string, len(fresh)), make([]string, len(fresh))
		for n, i := range fresh {
			jids[n] = b.wants[i].JID
			_, domains[n], _ = strings.Cut(jids[n], "@")
		}
		q.Queue(`insert into accounts (key, jid, domain) select * from unnest($1::uuid[], $2::text[], $3::text[])
			on conflict do nothing returning key`, keys, jids, domains).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var k pgtype.UUID
				if err := rows.Scan(&k); err != nil {
					return err
				}
				i := b.index[k.Bytes]
				r := &Record{Account: Account{Key: k.Bytes, JID: b.wants[i].JID, Domain: domainOf(b.wants[i].JID)}, created: true}
				b.records[i] = r
			}
			return rows.Err()
		})
	}
	exists := map[Key]bool{}
	if mode == SkipBusy {
		q.Queue("select key from accounts where key = any($1)", uuids(len(missing), func(i int) Key { return b.wants[missing[i]].Key })).Query(func(rows pgx.Rows) error {
			for rows.Next() {
				var k pgtype.UUID
				if err := rows.Scan(&k); err != nil {
					return err
				}
				exists[k.Bytes] = true
			}
			return rows.Err()
		})
	}
	if err := b.conn.SendBatch(ctx, q).Close(); err != nil {
		return nil, fmt.Errorf("batch: create: %w", err)
	}
	for _, i := range missing {
		r := b.records[i]
		switch {
		case r != nil:
			b.finish(r)
		case exists[b.wants[i].Key] || b.wants[i].Create:
			busy = append(busy, i)
		}
	}
	if mode == WaitBusy && len(busy) > 0 { // made between the lock and the insert
		return nil, ErrBusy
	}
	return busy, nil
}

// loadAnswered finds the decisions of asks that are repeated. Rare.
func (b *batch) loadAnswered(ctx context.Context) error {
	var keys []pgtype.UUID
	var asks []string
	for i, w := range b.wants {
		if r := b.records[i]; r != nil && w.AskID != "" && (r.lastAsk == w.AskID || slices.ContainsFunc(r.Sessions, func(s *Session) bool { return s.AskID == w.AskID })) {
			keys, asks = append(keys, pgtype.UUID{Bytes: w.Key, Valid: true}), append(asks, w.AskID)
		}
	}
	if len(asks) == 0 {
		return nil
	}
	rows, err := b.conn.Query(ctx, `select d.account, d.at, d.ask_id, d.resource, coalesce(d.device, 0), d.platform, coalesce(d.generation, 0), d.outcome, d.code, d.evicted, d.rule_level,
			d.condition, coalesce(d.retry_after, 0), d.shadow
		from unnest($1::uuid[], $2::text[]) w(account, ask)
			cross join lateral (select * from decisions d where d.account = w.account and d.at > now() - interval '2 hours' and d.ask_id = w.ask limit 1) d`, keys, asks)
	if err != nil {
		return err
	}
	defer rows.Close()
	return b.scanAnswered(rows)
}

// loadEnded finds out which of the wanted sids have ended. Rare: only for reports about sessions that are not live.
func (b *batch) loadEnded(ctx context.Context) error {
	var keys []pgtype.UUID
	var sids []string
	for i, w := range b.wants {
		if r := b.records[i]; r != nil {
			for _, sid := range w.SIDs {
				if r.Live(sid) == nil {
					keys, sids = append(keys, pgtype.UUID{Bytes: w.Key, Valid: true}), append(sids, sid)
				}
			}
		}
	}
	if len(sids) == 0 {
		return nil
	}
	rows, err := b.conn.Query(ctx, `select h.account, h.sid, h.end_reason from unnest($1::uuid[], $2::text[]) w(account, sid)
			cross join lateral (select * from session_history h where h.account = w.account and h.ended_at > now() - interval '1 day' and h.sid = w.sid
				order by h.ended_at desc limit 1) h
		union all select e.account, e.sid, 'erased' from unnest($1::uuid[], $2::text[]) w(account, sid) join erased_sessions e on e.account = w.account and e.sid = w.sid`, keys, sids)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var k pgtype.UUID
		var sid, reason string
		if err := rows.Scan(&k, &sid, &reason); err != nil {
			return err
		}
		r := b.records[b.index[k.Bytes]]
		if r.Ended == nil {
			r.Ended = map[string]string{}
		}
		r.Ended[sid] = reason
	}
	return rows.Err()
}
