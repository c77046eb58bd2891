-- +goose Up

-- What was accepted to be done to the live sessions of many accounts: bit by bit, by the owners of their links, with progress.
-- What a job does to an account is kept among the kicks, and marks its sessions, under the negative of the job's id.
create table jobs (
    id           bigint generated always as identity primary key,
    kind         text not null check (kind in ('apply_rule', 'kick')),
    filter       jsonb not null,   -- which accounts; of an apply_rule: the rule's level and subject
    state        text not null default 'running' check (state in ('running', 'done', 'cancelled')),
    requested_at timestamptz not null,
    requested_by text not null,
    total        bigint,           -- accounts to look at when it began; null: it has not begun
    finished_at  timestamptz
);
create index jobs_running on jobs (id) where state = 'running';

-- A job's accounts on one link. The link's owner walks them in the order of their keys.
create table job_parts (
    job    bigint not null,
    link   text not null,
    total  bigint not null,
    done   bigint not null default 0,
    cursor uuid not null default '00000000-0000-0000-0000-000000000000', -- the last account that was looked at
    walked boolean not null default false,
    primary key (job, link)
);
create index job_parts_open on job_parts (link, job) where not walked;

create index kicks_of_jobs on kicks (id) where id < 0;
create index sessions_of_jobs on sessions (evict_kick) where evict_kick < 0;

create index rules_expiring on rules (expires_at) where expires_at is not null;
-- Whether any rule ends sessions by their age or idleness is asked every few seconds.
create index rules_ending on rules (scope, subject)
    where fields ->> 'max_session_age_seconds' is not null or fields ->> 'max_idle_seconds' is not null;
