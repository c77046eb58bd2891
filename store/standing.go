package store

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/bindgate/bindgate/rules"
)

// Standing is what an account's takeovers, grants and repeated denials leave behind. It is bounded, and kept in the account's row.
type Standing struct {
	rules.Protection
	Grants  []Grant
	Denials []Denied
	Brought []Brought
}

// Brought is what came of the token of a session that the server let in undecided, until somebody decides. The token itself is not kept; a grant that it was
// for is reserved.
type Brought struct {
	Generation int64
	Chosen     int64  // generation of the session that its user chose to end; 0: none
	Wrong      string // what is wrong with the token; "": nothing
}

// Grant lets one login take over.
type Grant struct {
	ID       int64
	Hash     []byte // SHA-256 of its token
	Device   int64  // the only one that may use it, without the token too; 0: any
	Resource string // likewise
	Expires  time.Time
	By       string
	Reserved int64 // generation of the session that was let in by it and is not bound yet, or is bound and not decided yet; 0: none
	Used     bool  // that session was bound and let in
}

// Open reports whether a grant can be used.
func (g *Grant) Open(now time.Time) bool { return !g.Used && g.Reserved == 0 && now.Before(g.Expires) }

// Denied is a kind of denial that may be repeated: of one party, for one reason. Who comes as somebody else each time, by a new resource, is counted as
// nobody in particular (rules.NoParty) once too many came.
type Denied struct {
	Party   rules.Party
	Code    string
	At      time.Time // of the first: its decision's key
	Last    time.Time // when the last one's client heard of it
	Told    time.Time // of the last event
	Repeats int
}

const (
	maxGrants   = 32        // that are open
	grantsKept  = time.Hour // after they have expired, for who asks what became of them
	maxDenials  = 16
	maxBrought  = 32
	crowd       = 8           // parties that are denied for one reason; more are one
	repeatsFor  = time.Minute // so long after a denial the next one is a repeat of it
	rowsLast    = time.Hour   // so long at most repeats stay one row
	eventsPause = time.Minute // between the events of a repeated denial
)

// Deny notes a denial that its client hears of when held is over. It returns the kind, whose Repeats is 0 if this one is to be a row of its own, and whether
// others are to be told of it.
func (s *Standing) Deny(party rules.Party, code string, now time.Time, held time.Duration) (d Denied, tell bool) {
	i, party := s.denial(party, code, now)
	if i >= 0 {
		d = s.Denials[i]
		s.Denials = slices.Delete(s.Denials, i, i+1)
	}
	if i < 0 || now.Sub(d.Last) >= repeatsFor || now.Sub(d.At) >= rowsLast {
		d = Denied{Party: party, Code: code, At: now, Told: d.Told}
	} else {
		d.Repeats++
	}
	d.Last = now.Add(held)
	if tell = now.Sub(d.Told) >= eventsPause; tell {
		d.Told = now
	}
	if len(s.Denials) == maxDenials {
		s.Denials = slices.Delete(s.Denials, 0, 1)
	}
	s.Denials = append(s.Denials, d)
	return d, tell
}

// Repeated returns how often a denial was repeated so far, and how long ago the first was; 0: the next one is not a repeat, or the first.
func (s *Standing) Repeated(party rules.Party, code string, now time.Time) (repeats int, since time.Duration) {
	if i, _ := s.denial(party, code, now); i >= 0 && now.Sub(s.Denials[i].Last) < repeatsFor {
		return s.Denials[i].Repeats + 1, now.Sub(s.Denials[i].At)
	}
	return 0, 0
}

// denial returns where a party's kind of denial is, -1 if nowhere, and as whom the party counts.
func (s *Standing) denial(party rules.Party, code string, now time.Time) (int, rules.Party) {
	find := func(party rules.Party) int {
		return slices.IndexFunc(s.Denials, func(d Denied) bool { return d.Party == party && d.Code == code })
	}
	i, others := find(party), 0
	for _, d := range s.Denials {
		if d.Code == code && now.Sub(d.Last) < repeatsFor {
			others++
		}
	}
	if i < 0 && others >= crowd {
		party = rules.NoParty
		i = find(party)
	}
	return i, party
}

// AddGrant keeps a grant; false: the account has as many as it may have.
func (s *Standing) AddGrant(g Grant, now time.Time) bool {
	open := 0
	for i := range s.Grants {
		if s.Grants[i].Open(now) {
			open++
		}
	}
	if open >= maxGrants {
		return false
	}
	if len(s.Grants) >= 2*maxGrants {
		i := slices.IndexFunc(s.Grants, func(g Grant) bool { return !g.Open(now) && g.Reserved == 0 || g.Used })
		if i < 0 {
			return false
		}
		s.Grants = slices.Delete(s.Grants, i, i+1)
	}
	s.Grants = append(s.Grants, g)
	return true
}

// Reserve lets a session have a grant.
func (s *Standing) Reserve(id, generation int64) {
	for i := range s.Grants {
		if s.Grants[i].ID == id {
			s.Grants[i].Reserved = generation
		}
	}
}

// Consume ends the grant that a session was let in by, now that it is bound; false: there was none.
func (s *Standing) Consume(generation int64) (was bool) {
	for i := range s.Grants {
		if g := &s.Grants[i]; g.Reserved == generation && !g.Used {
			g.Used, was = true, true
		}
	}
	return was
}

// Free makes the grant of a session that was never bound usable again; false: there was none.
func (s *Standing) Free(generation int64) (freed bool) {
	for i := range s.Grants {
		if g := &s.Grants[i]; g.Reserved == generation && !g.Used {
			g.Reserved, freed = 0, true
		}
	}
	return freed
}

// Bring notes what came of a session's token; of too many the oldest is forgotten.
func (s *Standing) Bring(b Brought) {
	if len(s.Brought) == maxBrought {
		s.Brought = slices.Delete(s.Brought, 0, 1)
	}
	s.Brought = append(s.Brought, b)
}

// BroughtBy returns what came of a session's token; zero: it brought none.
func (s *Standing) BroughtBy(generation int64) Brought {
	if i := slices.IndexFunc(s.Brought, func(b Brought) bool { return b.Generation == generation }); i >= 0 {
		return s.Brought[i]
	}
	return Brought{}
}

// prune forgets what can matter no more.
func (s *Standing) prune(r *Record) {
	s.Protection.Prune(r.Now, func(generation int64) bool {
		w := r.ByGeneration(generation)
		return w != nil && w.Eviction == nil
	})
	s.Grants = slices.DeleteFunc(s.Grants, func(g Grant) bool { return r.Now.Sub(g.Expires) >= grantsKept })
	s.Denials = slices.DeleteFunc(s.Denials, func(d Denied) bool { return r.Now.Sub(d.Last) >= repeatsFor })
	s.Brought = slices.DeleteFunc(s.Brought, func(b Brought) bool {
		w := r.ByGeneration(b.Generation)
		return w == nil || !w.DecidedAt.IsZero()
	})
}

func (s *Standing) empty() bool {
	return s.Protection.Empty() && len(s.Grants) == 0 && len(s.Denials) == 0 && len(s.Brought) == 0
}

// Loop is two devices that keep displacing each other.
type Loop struct {
	Account  Key
	JID      string
	Party    rules.Party // who was displaced last
	Device   int64       // of it; 0: unknown
	Resource string      // that it had
	Winner   int64       // generation of the session that stays
	OpenedAt time.Time
	Until    time.Time
}

const loopColumns = `l.account, a.jid, l.party, coalesce(l.device, 0), l.resource, l.winner, l.opened_at, l.until from loops l join accounts a on a.key = l.account`

// LoopFilter says which loops.
type LoopFilter struct {
	Account *Key     // nil: of all accounts
	Domains []string // of the accounts; nil: all
}

// Loops returns the open loops behind a place (zero: all), ordered by account and party.
func (s *Store) Loops(ctx context.Context, f LoopFilter, account Key, party rules.Party, limit int) ([]Loop, error) {
	args := []any{uuidOf(account), int64(party), f.Domains, limit}
	of := ""
	if f.Account != nil {
		args, of = append(args, uuidOf(*f.Account)), " and l.account = $5"
	}
	rows, err := s.pool.Query(ctx, "select "+loopColumns+" where (l.account, l.party) > ($1, $2) and ($3::text[] is null or a.domain = any($3))"+of+`
		order by l.account, l.party limit $4`, args...)
	return collectLoops(rows, err)
}

// OverdueLoops returns open loops whose time is over.
func (s *Store) OverdueLoops(ctx context.Context, limit int) ([]Loop, error) {
	rows, err := s.pool.Query(ctx, "select "+loopColumns+" where l.until < now() order by l.until limit $1", limit)
	return collectLoops(rows, err)
}

func collectLoops(rows pgx.Rows, err error) ([]Loop, error) {
	if err != nil {
		return nil, fmt.Errorf("loops: %w", err)
	}
	list, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Loop, error) {
		var l Loop
		var party int64
		key := uuidOf(Key{})
		err := row.Scan(&key, &l.JID, &party, &l.Device, &l.Resource, &l.Winner, &l.OpenedAt, &l.Until)
		l.Account, l.Party = key.Bytes, rules.Party(party)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("loops: %w", err)
	}
	return list, nil
}

// Identity names the database, in 16 hex digits: the same for every process on it, another for what was made of a dump. A physical copy has the same name. The error is also
// that of a user who may not call pg_control_system.
func (s *Store) Identity(ctx context.Context) (string, error) {
	var key []byte
	var cluster, database string
	err := s.pool.QueryRow(ctx, `select key, (select system_identifier from pg_control_system())::text, (select oid from pg_database where datname = current_database())::text
		from token_keys`).Scan(&key, &cluster, &database)
	if err != nil {
		return "", fmt.Errorf("the database's identity: %w", err)
	}
	mac := hmac.New(sha256.New, key)
	fmt.Fprintf(mac, "identity %s %s", cluster, database)
	return hex.EncodeToString(mac.Sum(nil)[:8]), nil
}

// TokenKey returns the key that takeover tokens are made with, and other keys are derived from; the same for every process on the database.
func (s *Store) TokenKey(ctx context.Context) ([]byte, error) {
	var key []byte
	if err := s.pool.QueryRow(ctx, "select key from token_keys").Scan(&key); err != nil {
		return nil, fmt.Errorf("token key: %w", err)
	}
	return key, nil
}
