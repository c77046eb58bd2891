-- +goose Up

-- What an account's takeovers, grants and repeated denials leave behind: a few bytes (store.Standing) beside the counters that every admission reads and
-- writes anyway. Null: nothing, as for most accounts.
alter table accounts add column standing bytea;

alter table sessions
    add column chosen boolean not null default true, -- the client named the resource
    add column paused_at timestamptz;                -- since when it hibernates

-- Several clients show this device's id.
alter table devices add column cloned boolean not null default false;

-- A denial that is repeated stays one row.
alter table decisions
    add column repeats integer not null default 0,
    add column last_at timestamptz,                  -- of the last repeat
    add column rule_field text;                      -- that made it; null: none

-- Two devices that keep displacing each other: who was in last is frozen in its place for a while. Only those that are open.
create table loops (
    account   uuid not null,
    party     bigint not null,    -- who was displaced last
    winner    bigint not null,    -- generation of the session that stays
    device    bigint,             -- of who was displaced
    resource  text not null,      -- that it had
    opened_at timestamptz not null,
    until     timestamptz not null,
    primary key (account, party)
);
create index loops_until on loops (until);

-- Takeover tokens are kept nowhere: whoever has this key can check them.
create table token_keys (
    one boolean primary key default true check (one),
    key bytea not null
);
insert into token_keys values (true, decode(replace(gen_random_uuid()::text || gen_random_uuid()::text, '-', ''), 'hex'));
