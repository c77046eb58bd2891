-- +goose Up

-- Who uses the dashboard. A name is kept in its one form: two that differ in case are one.
create table users (
    id            bigint generated always as identity primary key,
    name          text not null unique check (char_length(name) between 1 and 64),
    role          text not null check (role in ('viewer', 'support', 'admin')),
    domains       text[] check (cardinality(domains) > 0), -- null: all
    password      text,                              -- argon2id with its salt and parameters; null: none is taken
    must_change   boolean not null default false,    -- the password is good for choosing another one
    issuer        text,                              -- of OpenID Connect: who vouches for the user, and by which name
    subject       text,
    disabled      boolean not null default false,
    created_at    timestamptz not null,
    created_by    text not null,
    last_login_at timestamptz,
    unique (issuer, subject),
    check ((issuer is null) = (subject is null))
);

-- Who is logged in to the dashboard. Tokens are kept as their SHA-256.
create table logins (
    id         bigint generated always as identity primary key,
    user_id    bigint not null references users on delete cascade,
    token      bytea not null unique,
    created_at timestamptz not null,
    seen_at    timestamptz not null,
    expires_at timestamptz not null,
    address    text not null,
    agent      text not null
);
create index logins_user on logins (user_id);
create index logins_expiry on logins (expires_at);

-- Browsers in which somebody has logged in: their attempts are counted apart, so that a stranger's do not keep the user out. Kept as SHA-256.
create table login_browsers (
    token   bytea primary key,
    user_id bigint not null references users on delete cascade,
    used_at timestamptz not null
);
create index login_browsers_user on login_browsers (user_id, used_at);

-- Attempts to log in that have failed, or are not done, by what they are counted for: a name, an address, both, a browser.
create table login_attempts (
    subject       text primary key,
    failures      integer not null,
    last_at       timestamptz not null,
    refused_until timestamptz not null
);
create index login_attempts_old on login_attempts (last_at);
