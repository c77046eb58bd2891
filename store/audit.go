package store

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
)

// Via says by which door somebody came.
type Via string

// The doors.
const (
	ViaAPI       Via = "api"       // with a token
	ViaDashboard Via = "dashboard" // a user of the dashboard
	ViaCLI       Via = "cli"       // somebody with the configuration
	ViaOwner     Via = "owner"     // the account's owner, from an XMPP client
	ViaSelf      Via = "bindgate"  // a part of bindgate itself
)

// Actor is who asks for a change. Every change that somebody asks for takes one, and writes an entry of the audit with it.
type Actor struct {
	Via       Via    // "": ViaSelf
	Subject   string // of the token, may be empty; a user's name; the bare JID of an account's owner; which part of bindgate
	Address   string // of the caller; "": not known
	RequestID string // "": none
	Claim     *Claim // of a request that is to be carried out once, and makes one change; nil: no such
}

// String names the actor to those who are told of the change, of which the account's owner is one.
func (a Actor) String() string {
	if a.Via == ViaOwner {
		return string(ViaOwner)
	}
	return a.Subject
}

// Action says what was done. The set is closed: the API's contract lists it.
type Action string

// The actions.
const (
	RulePut           Action = "rule.put"
	RuleDelete        Action = "rule.delete"
	RuleExpire        Action = "rule.expire"
	PlatformsPut      Action = "platforms.put"
	GroupMembers      Action = "group.members"
	SessionKick       Action = "session.kick"
	JobCancel         Action = "kicks.cancel"
	DeviceRegister    Action = "device.register"
	DeviceChange      Action = "device.change"
	DeviceBlock       Action = "device.block"
	DeviceUnblock     Action = "device.unblock"
	DeviceForget      Action = "device.forget"
	GrantCreate       Action = "grant.create"
	ProtectionRelease Action = "protection.release"
	LinkMode          Action = "link.mode"
	DomainChange      Action = "domain.change"
	AccountChange     Action = "account.change"
	WebhookCreate     Action = "webhook.create"
	WebhookUpdate     Action = "webhook.change"
	WebhookRotate     Action = "webhook.rotate"
	WebhookDelete     Action = "webhook.delete"
	WebhookTest       Action = "webhook.test"
	WebhookRedeliver  Action = "webhook.redeliver"
	AccountErase      Action = "account.erase"  // was asked for
	AccountErased     Action = "account.erased" // nothing is left
	UserAdd           Action = "user.add"
	UserChanged       Action = "user.change"
	UserPassword      Action = "user.password"
	UserRemove        Action = "user.remove"
	UserLogin         Action = "user.login"
	UserLoginEnd      Action = "user.login_end"
)

// Actions are all of them.
func Actions() []Action {
	return []Action{
		RulePut, RuleDelete, RuleExpire, PlatformsPut, GroupMembers, SessionKick, JobCancel, DeviceRegister, DeviceChange, DeviceBlock, DeviceUnblock, DeviceForget, GrantCreate, ProtectionRelease,
		LinkMode, DomainChange, AccountChange, WebhookCreate, WebhookUpdate, WebhookRotate, WebhookDelete, WebhookTest, WebhookRedeliver, AccountErase, AccountErased,
		UserAdd, UserChanged, UserPassword, UserRemove, UserLogin, UserLoginEnd,
	}
}

// Entry is what was done, to what. Old, New and Outcome encode to JSON, or are nil; none may hold a secret.
type Entry struct {
	Action  Action
	Account string // bare JID; "": of none
	Domain  string // "": the account's
	Target  string // id or name of what it was done to, if that is not the account itself
	Old     any    // what was there
	New     any    // what is there now
	Outcome any    // what it came to
}

// Audit notes what somebody did to the account. Its outcome is also what an attempt of the same request finds that comes after a crash (see Made).
func (r *Record) Audit(by Actor, e Entry) {
	e.Account = r.JID
	r.audit = append(r.audit, audited{by, e})
	if by.Claim != nil {
		r.made = append(r.made, made{by.Claim, e.Outcome})
	}
}

// audit writes entries in the transaction of the change that they are about; came is what the change came to, for Made.
func audit(ctx context.Context, tx pgx.Tx, by Actor, came any, entries ...Entry) error {
	q := &pgx.Batch{}
	if len(entries) > 0 {
		var now time.Time
		if err := tx.QueryRow(ctx, "select clock_timestamp()").Scan(&now); err != nil {
			return fmt.Errorf("audit: %w", err)
		}
		var rows columns
		for _, e := range entries {
			audited{by, e}.push(&rows, now)
		}
		rows.queue(q, insertAudit)
	}
	if by.Claim != nil {
		made{by.Claim, came}.queue(q)
	}
	if err := tx.SendBatch(ctx, q).Close(); err != nil {
		return fmt.Errorf("audit: %w", translate(err))
	}
	return nil
}

type audited struct {
	by Actor
	Entry
}

const insertAudit = `insert into audit (at, via, actor, address, request_id, action, account, jid, domain, target, old, new, outcome)
	select t, v, s, d, i, a, k, j, m, g, o::jsonb, n::jsonb, c::jsonb from unnest($1::timestamptz[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::uuid[], $8::text[], $9::text[],
		$10::text[], $11::text[], $12::text[], $13::text[]) u(t, v, s, d, i, a, k, j, m, g, o, n, c)`

func (a audited) push(rows *columns, now time.Time) {
	domain := a.Domain
	var key pgtype.UUID
	if a.Account != "" {
		key = uuidOf(KeyOf(a.Account))
		domain = domainOf(a.Account)
	}
	rows.push(now, string(cmp.Or(a.by.Via, ViaSelf)), a.by.Subject, a.by.Address, a.by.RequestID, string(a.Action), key, a.Account, domain, a.Target,
		jsonText(a.Old), jsonText(a.New), jsonText(a.Outcome))
}

// jsonText encodes what an entry holds; nil is null.
func jsonText(v any) pgtype.Text {
	if v == nil {
		return pgtype.Text{}
	}
	b, err := json.Marshal(v)
	if err != nil { // only for types that cannot be encoded: a mistake in the program
		panic("store: audit: " + err.Error())
	}
	return pgtype.Text{String: string(b), Valid: true}
}
