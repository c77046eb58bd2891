-- +goose Up

-- The group whose rule holds for an account; null: none. A group is there while it has an account or a rule.
alter table accounts add column account_group text;
create index accounts_group on accounts (account_group) where account_group is not null;
