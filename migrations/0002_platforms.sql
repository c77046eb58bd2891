-- +goose Up

-- How a device's platform is told, and the groups of platforms: one row. Null: what bindgate ships.
create table platforms (
    one        boolean primary key default true check (one),
    fields     jsonb,
    version    bigint not null,
    updated_at timestamptz not null,
    updated_by text not null
);
insert into platforms values (true, null, nextval('rule_version'), now(), '');

-- Whether a live session's device is registered is asked at every login.
create index devices_registered on devices (account) where registered;
