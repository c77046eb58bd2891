-- +goose Up

-- What lists go by, so that a page costs the same however many rows there are. None of these columns changes with a login.
create index accounts_of_domain on accounts (domain, key);
create index accounts_by_jid on accounts (jid collate "C");
drop index accounts_group;
create index accounts_group on accounts (account_group, key) where account_group is not null;

-- How many accounts of a domain a group has. Whoever changes an account's group changes it too, in the same transaction.
create table group_sizes (
    account_group text not null,
    domain        text not null,
    members       bigint not null,
    primary key (account_group, domain)
);
insert into group_sizes select account_group, domain, count(*) from accounts where account_group is not null group by 1, 2;

create index rules_listed on rules (scope collate "C", subject collate "C");
create index sessions_hibernating on sessions (account, sid) where state = 'hibernating';
create index sessions_asked on sessions (account, sid) where evict_next is not null;

-- A kick by filter: what it does to the sessions that it finds. The domains that a job is limited to say who may see it; null: all. How many sessions it
-- has marked is kept when nothing is to be done for it any more; null until then.
alter table jobs
    add column domains text[],
    add column kick jsonb,
    add column marked bigint;
update jobs set domains = array[case filter ->> 'level' when 'domain' then filter ->> 'subject' else split_part(filter ->> 'subject', '@', 2) end]
    where filter ->> 'level' in ('domain', 'account');
create index jobs_unsettled on jobs (id) where marked is null;

-- What operators say of a domain.
create table domains (
    name text primary key,
    lang text not null
);

-- How many there are of what is too much to be counted for each reader: counted by one process, now and then.
create table census (
    one        boolean primary key default true check (one),
    counted_at timestamptz,                 -- null: not yet
    took       interval not null default '0',
    position   bigint,                      -- of the last event that was counted
    figures    jsonb not null default '{}'
);
insert into census values (true);

-- What the events told of the last hour, by the time they are of.
create table census_events (
    at     timestamptz not null,            -- the start of ten seconds
    domain text not null,
    kind   text not null,                   -- session.ended, login.denied
    code   text not null,
    n      bigint not null,
    primary key (at, domain, kind, code)
);
