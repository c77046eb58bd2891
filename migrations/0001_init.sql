-- +goose Up

-- The record: which devices an account has, which sessions are live, and why.
-- An account's key is the first 16 bytes of SHA-256 of its bare JID. It comes first in every key, so one account's rows lie together.
-- Hot tables carry no foreign keys: whoever writes them holds the account's row lock, which is the one ordering authority.

create table accounts (
    key        uuid primary key,
    jid        text not null,
    domain     text not null,
    generation bigint not null default 0, -- grows with every admission
    revision   bigint not null default 0, -- grows with every change
    last_ask   text not null default '',  -- the ask that was decided last: it may be repeated
    lang       text,
    created_at timestamptz not null default now()
) with (fillfactor = 80);

-- A device's id is derived from what identifies it (user-agent id or resource), so two transactions cannot make it twice.
create table devices (
    account       uuid not null,
    id            bigint not null,
    identity      text not null check (identity in ('certain', 'probable')),
    user_agent_id text,
    resource      text,
    name          text,
    platform      text,
    client        text,
    registered    boolean not null default false,
    blocked       boolean not null default false,
    first_seen_at timestamptz not null,
    last_seen_at  timestamptz not null,
    primary key (account, id)
);

-- Live sessions only; an ended one is moved to session_history in the same transaction.
-- One that has to go says so in its evict_ columns: no index has them but while the server is to be asked, so marking it stays within its page.
create table sessions (
    account       uuid not null,
    sid           text not null, -- made by the server's module
    generation    bigint not null,
    link          text not null,
    resource      text not null,
    state         text not null check (state in ('binding', 'active', 'hibernating')),
    device        bigint,
    identity      text not null check (identity in ('certain', 'probable', 'unknown')),
    platform      text not null,
    ip            text not null,
    secure        boolean not null,
    transport     text not null,
    client_id     text not null,
    client        text not null,
    lang          text not null,
    ask_id        text not null,        -- '' for one that was never asked
    decided_at    timestamptz,          -- its decision's key; null: not judged yet
    bind_deadline timestamptz,          -- while binding: abandoned after it
    epoch         text not null default '', -- of the last event that spoke of it, with its number:
    seq           bigint not null default 0, -- an older list of the server's says nothing about it
    started_at    timestamptz not null,
    last_seen_at  timestamptz not null,

    evict_code     text check (evict_code in ('takeover', 'kick', 'rule', 'expired', 'blocked')), -- null: it may stay
    evict_winner   bigint,              -- generation of the session it goes for; null: nobody's
    evict_own      boolean,             -- the winner is the same device: no takeover
    evict_device   text,                -- what its client is told of the winner
    evict_platform text,
    evict_kick     bigint,              -- the kick that asked for it
    evict_text     jsonb,               -- language → text, of a kick with its own words
    evict_at       timestamptz,         -- when it was decided
    evict_next     timestamptz,         -- when the server is asked again; null: it rides in the winner's answer until that bind is seen
    evict_attempts integer,
    still_present  boolean,             -- it was asked for several times in vain
    primary key (account, sid)
) with (fillfactor = 70);
create index sessions_binding on sessions (bind_deadline) where state = 'binding';
create index sessions_unjudged on sessions (link) where decided_at is null;

create index sessions_evicting on sessions (link, evict_next) where evict_next is not null;

create table session_history (
    account      uuid not null,
    ended_at     timestamptz not null,
    generation   bigint not null,
    sid          text not null,
    link         text not null,
    resource     text not null,
    device       bigint,
    identity     text not null,
    platform     text not null,
    ip           text not null,
    secure       boolean not null,
    transport    text not null,
    client       text not null,
    decided_at   timestamptz,
    started_at   timestamptz not null,
    last_seen_at timestamptz not null,
    end_reason   text not null,
    winner       bigint,
    kick         bigint,
    primary key (account, ended_at, generation)
) partition by range (ended_at);
create table session_history_default partition of session_history default;

create table decisions (
    account     uuid not null,
    at          timestamptz not null,
    ask_id      text not null,
    resource    text not null,
    device      bigint,
    platform    text not null,
    generation  bigint,               -- the admitted session's; null for a denial
    outcome     text not null check (outcome in ('allow', 'deny')),
    code        text not null,
    evicted     bigint[] not null,    -- generations
    rule_level  text not null,
    explanation text[] not null,
    condition   text not null,        -- of a denial: the stanza error, so that a repeated ask gets the same answer
    retry_after integer,              -- seconds
    shadow      boolean not null,
    primary key (account, at)
) partition by range (at);
create table decisions_default partition of decisions default;

create table rules (
    scope      text not null check (scope in ('default', 'domain', 'group', 'account')),
    subject    text not null,         -- '' | domain | group | bare JID
    fields     jsonb not null,
    version    bigint not null,
    expires_at timestamptz,
    updated_at timestamptz not null,
    updated_by text not null,
    primary key (scope, subject)
);
create sequence rule_version;
insert into rules values ('default', '', '{}', nextval('rule_version'), null, now(), '');

create table kicks (
    account      uuid not null,
    id           bigint not null,
    requested_at timestamptz not null,
    requested_by text not null,
    selector     jsonb not null,
    reason       text not null,
    sids         text[] not null,
    primary key (account, id)
);

-- The event log. A transaction writes its events as one batch, in order, and queues it; the sequencer gives each batch its positions after the
-- commit, so that a reader by position never misses one. The view shows one row an event.
create table event_batches (
    id       bigint generated always as identity,
    at       timestamptz not null,
    types    text[] not null,
    accounts text[] not null,         -- bare JIDs; '' for events of links and rules
    data     text[] not null,         -- JSON objects
    primary key (id, at)
) partition by range (at);
alter table event_batches alter column data set storage external;
create table event_batches_default partition of event_batches default;
create table event_queue (
    id     bigint primary key,
    at     timestamptz not null,
    events integer not null
) with (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 10000);
create table event_head (one boolean primary key default true check (one), position bigint not null);
insert into event_head values (true, 0);
create table event_positions (
    first  bigint primary key,        -- position of the batch's first event
    events integer not null,
    batch  bigint not null,
    at     timestamptz not null
);
create view events as
    select p.first + e.n - 1 as position, b.at, e.type, e.account, e.data::json
    from event_positions p join event_batches b on b.id = p.batch and b.at = p.at,
        unnest(b.types, b.accounts, b.data) with ordinality e(type, account, data, n);

-- The connection to one XMPP server. Whoever owns it writes for it under its fence, which grows with every change of owner.
create table links (
    name       text primary key,
    number     integer generated always as identity, -- names its advisory lock
    owner      uuid,
    owner_name text not null default '',
    fence      bigint not null default 0,
    expires_at timestamptz not null default '-infinity',
    driver     text not null default '',
    component  text not null default '',
    mode       text not null default 'enforce' check (mode in ('enforce', 'observe', 'off')),
    state      jsonb not null default '{}',
    updated_at timestamptz not null default now()
);
