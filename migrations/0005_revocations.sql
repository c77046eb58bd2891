-- +goose Up

-- Counts the changes of a link's mode: its owner says which of them its modules have confirmed.
alter table links add column mode_change bigint not null default 0;

-- A block is looked for among the live sessions when a link begins to enforce.
create index devices_blocked on devices (account) where blocked;

-- Stored login credentials that a server has to revoke, with the kick that asked for it.
create table revocations (
    account      uuid not null,
    kick         bigint not null,
    domain       text not null,
    generation   bigint not null,              -- of the account then: who came later may have come by what was to be revoked
    devices      jsonb,                        -- SASL2 user-agent ids whose credentials it is about; null: all of the account's
    others       boolean not null,             -- it is about those of all other devices
    requested_at timestamptz not null,
    next_at      timestamptz,                  -- when the server is asked; null: it has answered
    attempts     integer not null default 0,
    outcome      text check (outcome in ('revoked', 'nothing', 'unable')),
    revoked      jsonb,                        -- kind → how many
    reason       text not null,                -- what was left and why, in words
    primary key (account, kick)
);
create index revocations_due on revocations (next_at) where next_at is not null;
