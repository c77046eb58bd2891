package gate

import (
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/bindgate/bindgate/rules"
	"github.com/bindgate/bindgate/store"
)

// claim is what gives a login a right to take over: a grant, or a token for the session that its user chose.
type claim struct {
	grant  *store.Grant // of the record; nil: none
	bound  bool         // the grant is for the login's device or resource and came without its token
	chosen int64        // generation; 0: none
	wrong  string       // what is wrong with the token that was brought; "": nothing
	let    bool         // the login was let in before: its place is judged again, not its right to come
}

// What is wrong with a token, as clients are told.
const (
	TokenUnknown = "unknown"        // no token of this account
	TokenUsed    = "used"           // let somebody in already
	TokenExpired = "expired"        //
	TokenForeign = "not_yours"      // made for another device or resource, or for another login
	TokenGone    = "session_gone"   // the session that it would end is not there any more
	TokenUseless = "not_applicable" // the rule does not let users choose
)

const (
	grantPrefix   = "grt_"
	choicePrefix  = "tko_"
	choiceLasts   = 5 * time.Minute
	choiceMAC     = 16 // bytes
	choicePayload = 12 // bytes: expiry in seconds, generation
)

// claimOf looks at what a login brings: a token, or else a grant that is bound to its device or resource.
func (g *Gate) claimOf(r *store.Record, s *store.Session, token string, rule *rules.Effective) claim {
	var c claim
	switch {
	case token == "":
	case !strings.HasPrefix(token, choicePrefix):
		c.grant, c.wrong = grantOf(r, s, token)
	case rule.OnExcess == rules.Choose:
		c.chosen, c.wrong = g.readChoice(r, s, token)
	default:
		c.wrong = TokenUseless
	}
	if c.grant == nil && c.chosen == 0 {
		c.grant = boundGrant(r, s)
		c.bound = c.grant != nil
	}
	return c
}

// bring looks at the token of a session that the server let in undecided, for who judges it: a grant is reserved for it, as for one that was let in.
func (g *Gate) bring(r *store.Record, s *store.Session, token string) {
	let := func(grant store.Grant) bool { return grant.Reserved == s.Generation }
	if token == "" || s == nil || !s.DecidedAt.IsZero() || s.Eviction != nil || slices.ContainsFunc(r.Standing.Grants, let) || r.Standing.BroughtBy(s.Generation).Generation != 0 {
		return
	}
	rule := rules.Merge(r.Levels...)
	if c := g.claimOf(r, s, token, &rule); c.grant != nil && !c.bound {
		r.Standing.Reserve(c.grant.ID, s.Generation)
	} else {
		r.Standing.Bring(store.Brought{Generation: s.Generation, Chosen: c.chosen, Wrong: c.wrong})
	}
	r.StandingChanged()
}

// claimToJudge is what a session brought that is judged.
func (g *Gate) claimToJudge(r *store.Record, s *store.Session, rule *rules.Effective) claim {
	for i := range r.Standing.Grants {
		if grant := &r.Standing.Grants[i]; grant.Reserved == s.Generation { // also one that let it in before: it still speaks for it
			return claim{grant: grant, let: s.AskID != ""}
		}
	}
	if s.AskID != "" { // what let it in is used up
		return claim{let: true}
	}
	c := g.claimOf(r, s, "", rule)
	if b := r.Standing.BroughtBy(s.Generation); b.Generation != 0 {
		c.chosen, c.wrong = b.Chosen, b.Wrong
	}
	return c
}

// giveBack makes the grant usable again that was reserved for a session which it did not let in.
func giveBack(r *store.Record, s *store.Session) {
	if r.Standing.Free(s.Generation) {
		r.StandingChanged()
	}
}

// boundGrant returns the open grant that is for a login's device or resource, which needs no token; nil: there is none.
func boundGrant(r *store.Record, s *store.Session) *store.Grant {
	for i := range r.Standing.Grants {
		grant := &r.Standing.Grants[i]
		if (grant.Device != 0 || grant.Resource != "") && fits(grant, s) && grant.Open(r.Now) {
			return grant
		}
	}
	return nil
}

// fits reports whether a login may use a grant.
func fits(grant *store.Grant, s *store.Session) bool {
	return (grant.Device == 0 || grant.Device == s.Device) && (grant.Resource == "" || grant.Resource == s.Resource)
}

func grantOf(r *store.Record, s *store.Session, token string) (grant *store.Grant, wrong string) {
	hash := sha256.Sum256([]byte(token))
	for i := range r.Standing.Grants {
		grant := &r.Standing.Grants[i]
		if subtle.ConstantTimeCompare(grant.Hash, hash[:]) != 1 {
			continue
		}
		switch {
		case grant.Used, grant.Reserved != 0:
			return nil, TokenUsed
		case !grant.Open(r.Now):
			return nil, TokenExpired
		case !fits(grant, s):
			return nil, TokenForeign
		}
		return grant, ""
	}
	return nil, TokenUnknown
}

// asker is who a takeover token is made for: whoever it is, as far as that can be told, else the very stream.
func asker(s *store.Session) string {
	if p := partyOf(s); p != rules.NoParty {
		return fmt.Sprintf("party %d", p)
	}
	return "sid " + s.SID
}

func (g *Gate) seal(r *store.Record, s *store.Session, payload []byte) []byte {
	mac := hmac.New(sha256.New, g.tokenKey)
	mac.Write(r.Key[:])
	mac.Write(payload)
	mac.Write([]byte(asker(s)))
	return mac.Sum(nil)[:choiceMAC]
}

// choice makes the token by which a login may end a session. It is good for one use: with the session it is void.
func (g *Gate) choice(r *store.Record, s *store.Session, target int64) string {
	payload := binary.BigEndian.AppendUint32(nil, uint32(r.Now.Add(choiceLasts).Unix()))
	payload = binary.BigEndian.AppendUint64(payload, uint64(target))
	return choicePrefix + base64.RawURLEncoding.EncodeToString(append(payload, g.seal(r, s, payload)...))
}

func (g *Gate) readChoice(r *store.Record, s *store.Session, token string) (target int64, wrong string) {
	b, err := base64.RawURLEncoding.DecodeString(strings.TrimPrefix(token, choicePrefix))
	if err != nil || len(b) != choicePayload+choiceMAC {
		return 0, TokenUnknown
	}
	payload, mac := b[:choicePayload], b[choicePayload:]
	if !hmac.Equal(mac, g.seal(r, s, payload)) {
		return 0, TokenForeign
	}
	target = int64(binary.BigEndian.Uint64(payload[4:]))
	if r.Now.Unix() >= int64(binary.BigEndian.Uint32(payload)) {
		return 0, TokenExpired
	}
	if t := r.ByGeneration(target); t == nil || t.Eviction != nil {
		return 0, TokenGone
	}
	return target, ""
}

// GrantRequest asks for a grant: the permission of one login to take over, and to be a new device.
type GrantRequest struct {
	Account  string // bare JID, as the server has it; it need not be on record
	Device   int64  // the only one that may use it; 0: any
	Resource string // the only one that may be bound with it; "": any
	TTL      time.Duration
	By       store.Actor
}

// Granted is a new grant. Its token is told this once.
type Granted struct {
	ID        string
	Token     string
	ExpiresAt time.Time
}

// ErrTooManyGrants is returned when an account has as many open grants as it may have.
var ErrTooManyGrants = errors.New("gate: too many open grants")

// Grant gives a grant. It is on record when it returns; a login uses it up when it is bound. A device that the account does not have is store.ErrNotFound.
func (g *Gate) Grant(ctx context.Context, req GrantRequest) (Granted, error) {
	token, err := g.grantToken(ctx, req)
	if err != nil {
		return Granted{}, fmt.Errorf("grant: %w", err)
	}
	if was, ok, err := store.Made[grantOutcome](req.By); ok || err != nil {
		return Granted{ID: was.ID, Token: token, ExpiresAt: was.ExpiresAt}, err
	}
	hash := sha256.Sum256([]byte(token))
	grant := store.Grant{ID: kickNumber(), Hash: hash[:], Device: req.Device, Resource: req.Resource, By: req.By.String()}
	full, missing := false, false
	key := store.KeyOf(req.Account)
	want := store.Want{Key: key, JID: req.Account, Create: req.Device == 0}
	if req.Device != 0 {
		want.Devices = []int64{req.Device}
	}
	err = g.await(ctx, &op{want: want, apply: func(r *store.Record) func() {
		if missing = req.Device != 0 && (r == nil || r.Device(req.Device) == nil); missing {
			return nil
		}
		grant.Expires = r.Now.Add(req.TTL)
		if full = !r.Standing.AddGrant(grant, r.Now); !full {
			r.StandingChanged()
			r.Touch()
			out := grantOutcome{ID: store.GrantID(key, grant.ID), ExpiresAt: grant.Expires.UTC(), Resource: req.Resource}
			if req.Device != 0 {
				out.DeviceID = store.DeviceID(key, req.Device)
			}
			r.Audit(req.By, store.Entry{Action: store.GrantCreate, Target: out.ID, Outcome: out})
		}
		return nil
	}})
	switch {
	case err != nil:
		return Granted{}, fmt.Errorf("grant: %w", err)
	case missing:
		return Granted{}, store.ErrNotFound
	case full:
		return Granted{}, ErrTooManyGrants
	}
	return Granted{ID: store.GrantID(key, grant.ID), Token: token, ExpiresAt: grant.Expires}, nil
}

// grantOutcome is what a request for a grant came to, without its token.
type grantOutcome struct {
	ID        string    `json:"grant_id"`
	ExpiresAt time.Time `json:"expires_at"`
	DeviceID  string    `json:"device_id,omitempty"`
	Resource  string    `json:"resource,omitempty"`
}

// grantToken makes a token that nobody can guess; every attempt of one request makes the same, and another request another one: the claim's seed sees to it.
func (g *Gate) grantToken(ctx context.Context, req GrantRequest) (string, error) {
	secret := make([]byte, 24)
	if c := req.By.Claim; c != nil {
		if err := g.loadTokenKey(ctx); err != nil {
			return "", err
		}
		mac := hmac.New(sha256.New, g.tokenKey)
		mac.Write([]byte("grant\x00" + req.Account + "\x00"))
		mac.Write(c.Seed)
		copy(secret, mac.Sum(nil))
	} else {
		_, _ = rand.Read(secret) // never fails
	}
	return grantPrefix + base64.RawURLEncoding.EncodeToString(secret), nil
}
