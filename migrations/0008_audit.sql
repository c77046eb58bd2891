-- +goose Up

-- Who did what to what, written with the change itself.
create table audit (
    id         bigint generated always as identity,
    at         timestamptz not null,
    via        text not null check (via in ('api', 'dashboard', 'cli', 'owner', 'bindgate')),
    actor      text not null,    -- subject of the token; name of the dashboard's user; bare JID of an account's owner; what of bindgate acted
    address    text not null,    -- of the caller; '': not known, or forgotten
    request_id text not null,
    action     text not null,
    account    uuid,             -- null: it is about none, or that one was erased
    jid        text not null,    -- of the account; '' likewise
    domain     text not null,    -- '' for what is about all of them
    target     text not null,    -- what else it was done to: the id or the name of a device, session, kick, grant, group, link
    old        jsonb,
    new        jsonb,
    outcome    jsonb,
    primary key (at, id)
) partition by range (at);
create table audit_default partition of audit default;
create index audit_account on audit (account, at, id) where account is not null;
create index audit_actor on audit (actor, at, id);
create index audit_action on audit (action, at, id) where action <> 'session.kick'; -- most entries are of kicks: those are found soon without
create index audit_domain on audit (domain, at, id) where domain <> '';

-- Up to when something has been forgotten already.
create table forgotten (
    what text primary key,
    until timestamptz not null
);

-- Addresses are forgotten before the sessions that had them.
create index session_history_ip on session_history (ended_at) where ip <> '';

-- The erasure that is to happen to the account as soon as it has no live session; null: none.
alter table accounts add column erasure bigint;
create index accounts_erasing on accounts (key) where erasure is not null;

-- Accounts whose rows are gone and whose history is being erased. A row goes when nothing is left.
create table erasures (
    account   uuid not null,
    id        bigint not null,
    jid       text not null,
    erased_at timestamptz not null,          -- what is older goes; an account of that name may be there again
    cleaned   boolean not null default false, -- all but the event log is done
    walked    bigint not null default 0,      -- the last batch of events that was looked at
    primary key (account, id)
);

-- Sessions of erased accounts that ended a short while ago: a late report must not bring them back.
create table erased_sessions (
    account uuid not null,
    sid     text not null,
    at      timestamptz not null,
    primary key (account, sid)
);
