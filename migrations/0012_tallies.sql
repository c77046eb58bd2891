-- +goose Up

-- How often what happened, and how many there were, by minutes, quarters of an hour and hours. A process adds what it has counted every few seconds to the row of each; nobody is
-- named. A minute without a row of all domains is one in which no process was there to count.
create table tallies (
    domain  text not null,          -- '' all together
    seconds integer not null check (seconds in (60, 900, 3600)),
    at      timestamptz not null,   -- its beginning
    counts  jsonb not null,         -- what → how often
    sample  jsonb,                  -- of the first census in it; null: there was none, or nobody was online
    primary key (domain, seconds, at)
) with (fillfactor = 70);
create index tallies_age on tallies (seconds, at);

-- Decisions are written nearly in the order of their times, so this costs a login nothing. A B-tree would: a thirtieth of what a decision takes.
-- A repeated one is to stay on its page, therefore; partitions are made so.
alter table decisions_default set (fillfactor = 90);
create index decisions_at on decisions using brin (at) with (pages_per_range = 64, autosummarize = on);
