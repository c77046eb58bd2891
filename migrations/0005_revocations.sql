-- +goose Up

-- Counts the changes of a link's mode: its owner says which of them its modules have confirmed.
alter table links add column mode_change bigint not null default 0;

-- A block is looked for among the live sessions when a link begins to enforce.
create index devices_blocked on devices (account) where blocked;
