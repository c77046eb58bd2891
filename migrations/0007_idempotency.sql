-- +goose Up

-- Requests that came with an Idempotency-Key, for a day. Neither the key nor an answer can be read here: the one is hashed, the other sealed with it.
create sequence idempotency_claim;
create table idempotency_keys (
    hash        bytea primary key,    -- of the key and of who may use it
    fingerprint bytea not null,       -- of the request: method, path, query and body
    account     uuid,                 -- that the path names
    created_at  timestamptz not null,
    claim       bigint not null,      -- grows with every attempt: what an earlier one does late is refused
    lease_until timestamptz not null, -- so long the attempt may take; '-infinity': nobody is at it
    made        jsonb,                -- what the change came to, written with the change; null: nothing was changed
    answer      bytea                 -- null: there is none yet
);
create index idempotency_keys_created on idempotency_keys (created_at);
create index idempotency_keys_account on idempotency_keys (account) where account is not null;
