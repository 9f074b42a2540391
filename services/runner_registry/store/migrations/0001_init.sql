-- Accounts, their tokens and runners. Deleted runners stay as tombstones: what still runs there needs their endpoint.

-- One row, raised inside every transaction that changes a runner: revisions come in the order of commits.
create table revision (
    one    boolean primary key default true check (one),
    value  bigint not null
);
insert into revision (value) values (0);

create table account (
    account_id   uuid primary key,
    name         text not null,
    email        text not null default '',
    tier         text not null check (tier in ('free', 'pro', 'plus', 'enterprise')),
    provider     text not null check (provider in ('github', 'google')),
    deleted      boolean not null default false,
    create_time  timestamptz not null default now(),
    update_time  timestamptz not null default now()
);
create index account_listing on account (create_time desc, account_id desc);

create table token (
    token_id        uuid primary key,
    account_id      uuid not null references account,
    kind            text not null check (kind in ('named', 'slot_one', 'slot_two')),
    name            text not null default '',
    digest          bytea not null unique,       -- sha-256 of the secret
    create_time     timestamptz not null default now(),
    expire_time     timestamptz,
    last_used_time  timestamptz
);
-- Looked up by a prefix, compared as a whole in fixed time.
create index token_prefix on token (substring(digest for 8));
create index token_listing on token (account_id, create_time desc, token_id desc);
create unique index token_slot on token (account_id, kind) where kind <> 'named';

create table runner (
    runner_id         uuid primary key,
    account_id        uuid references account,    -- null for managed runners
    name              text not null,
    endpoint          text not null,
    headers           bytea not null,             -- sealed
    tags              text[] not null,
    state             text not null default 'active' check (state in ('active', 'disabled')),
    runner_type       text not null check (runner_type in ('own', 'pro', 'plus')),
    create_time       timestamptz not null default now(),
    update_time       timestamptz not null default now(),
    delete_time       timestamptz,
    revision          bigint not null,
    health            text not null default 'unknown' check (health in ('unknown', 'online', 'offline')),
    probe_time        timestamptz,
    next_probe_time   timestamptz not null default now(),
    last_answer_time  timestamptz,
    misses            int not null default 0,
    queue_remaining   int not null default 0,
    latency_ms        real not null default 0,
    version           text not null default '',
    failure           text not null default '',
    check ((account_id is null) = (runner_type <> 'own'))
);
create index runner_listing on runner (account_id, create_time desc, runner_id desc) where delete_time is null;
create index runner_revision on runner (revision);
create index runner_probe on runner (next_probe_time) where delete_time is null;

-- Answers to mutating calls, so that a repeated request_id repeats the answer.
create table answered (
    scope        text not null,                   -- account, or operator
    method       text not null,
    request_id   text not null,
    answer_id    uuid not null,
    create_time  timestamptz not null default now(),
    primary key (scope, method, request_id)
);
