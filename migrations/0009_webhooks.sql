-- +goose Up

-- Where events are sent to. A webhook is a place in the event log: what is behind it has been taken up, as a row in webhook_deliveries or as none of its business.
-- Whoever delivers for it holds its lease, and writes nothing without it.
create table webhooks (
    id              bigint generated always as identity primary key,
    url             text not null,
    types           text[],             -- of events; null: all
    domains         text[],             -- whose events; null: all, and those of no domain
    description     text not null default '',
    enabled         boolean not null,
    disabled_reason text not null default '', -- why it was disabled, if not by a caller
    secret          bytea not null,     -- signs, so it cannot be kept as a hash
    old_secret      bytea,              -- signs beside it until
    old_until       timestamptz,
    created_at      timestamptz not null,
    created_by      text not null,
    position        bigint not null,    -- of the last event that was taken up
    failing_since   timestamptz,        -- the first failure after the last success
    change          bigint not null default 0, -- grows with what its owner has to look at again
    owner           uuid,
    fence           bigint not null default 0,
    lease_until     timestamptz not null default '-infinity'
);

-- What was sent, or is to be. An event's text is read from the log.
create table webhook_deliveries (
    webhook      bigint not null,
    id           bigint not null,       -- the event's position; below zero: a test
    state        text not null check (state in ('pending', 'delivered', 'failed')),
    by_hand      boolean not null default false, -- asked for by a caller: one attempt, whatever else waits
    attempts     integer not null default 0,     -- begun
    tries        integer not null default 0,     -- of these, those that failed while the target was not at fault: they count for the schedule
    created_at   timestamptz not null,
    attempted_at timestamptz,
    next_at      timestamptz,           -- of one that failed and is tried again; '-infinity': it is to be hurried
    finished_at  timestamptz,
    status       integer,               -- of the last attempt: the target's answer
    duration_ms  integer,
    answer       text,                  -- its first bytes
    error        text,                  -- why there was none, or none that counts
    primary key (webhook, id)
);
create index webhook_deliveries_pending on webhook_deliveries (webhook, id) where state = 'pending';
create index webhook_deliveries_asked on webhook_deliveries (webhook, id) where state = 'pending' and (by_hand or next_at = '-infinity');
create index webhook_deliveries_listed on webhook_deliveries (webhook, created_at, id);
create index webhook_deliveries_failed on webhook_deliveries (webhook, created_at, id) where state = 'failed';
create index webhook_deliveries_finished on webhook_deliveries (finished_at) where finished_at is not null;
create sequence webhook_tests;

-- How often events in the log were erased. Who keeps events in memory reads them anew when it has grown: it is written in the transaction that erases.
create table event_erasures (one boolean primary key default true check (one), count bigint not null);
insert into event_erasures values (true, 0);

-- Batches get their positions nearly in order, so this costs next to nothing.
create index event_positions_batch on event_positions using brin (batch) with (autosummarize = on);
