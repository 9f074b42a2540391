-- Jobs, their attempts and events; assets and the bytes they stand for; who drives which runner.
-- Every time is the database's own clock, so replicas need not agree on the hour.

-- Jobs that ask for the same thing share a selector: a runner is matched against selectors, not against jobs.
create table selector (
    selector_id   bigint generated always as identity primary key,
    digest        bytea not null unique,
    account_id    uuid not null,
    tier          text not null,
    tags          text[] not null,
    runner_id     uuid,
    node_classes  text[] not null
);

create table job (
    job_id           uuid primary key,
    account_id       uuid not null,
    selector_id      bigint not null references selector,
    state            text not null check (state in
        ('queued', 'running', 'succeeded', 'failed', 'canceling', 'canceled', 'expired')),
    priority         int not null default 0,
    labels           jsonb not null default '{}',
    needs_extra_data boolean not null default false,
    create_time      timestamptz not null default now(),
    queue_time       timestamptz not null default now(),  -- moves when an attempt was lost
    start_time       timestamptz,
    end_time         timestamptz,
    expire_time      timestamptz not null,
    node_count       int not null,
    progress         bytea,           -- comfyfleet.execution.v1.Progress, at most one write a second
    error            bytea,           -- comfyfleet.execution.v1.JobError
    attempt_count    int not null default 0,  -- number of the newest attempt
    attempt_open     boolean not null default false,
    last_sequence    bigint not null default 0
);

-- What a claim looks for: the best waiting job of a selector.
create index job_waiting on job (selector_id, priority desc, queue_time, job_id)
    where state = 'queued' and not attempt_open;
create index job_open on job (account_id) where state in ('queued', 'running', 'canceling');
create index job_listing on job (account_id, create_time desc, job_id desc);
create index job_expiry on job (expire_time) where end_time is not null;
create index job_queue_deadline on job (queue_time) where state = 'queued' and not attempt_open;

create table job_workflow (
    job_id    uuid primary key references job on delete cascade,
    workflow  bytea not null          -- as submitted, word for word
);

-- Assets that a job reads; they cannot be deleted while it is open.
create table job_input (
    job_id    uuid not null references job on delete cascade,
    asset_id  uuid not null,
    primary key (job_id, asset_id)
);
create index job_input_asset on job_input (asset_id);

-- The number is the fencing token of the claim: every later write names it and the owner.
create table attempt (
    job_id            uuid not null references job on delete cascade,
    number            int not null,
    runner_id         uuid not null,
    prompt_id         uuid not null unique,       -- ours, stored before the runner hears of it
    runner_prompt_id  text,                       -- theirs, where a server is too old to take ours
    state             text not null check (state in ('claimed', 'staged', 'submitted', 'running', 'ended')),
    owner             uuid not null,              -- replica that drives it
    lease_expire_time timestamptz not null,
    create_time       timestamptz not null default now(),
    submit_time       timestamptz,
    start_time        timestamptz,
    end_time          timestamptz,
    failure_class     text,
    message           text not null default '',
    primary key (job_id, number)
);
create unique index attempt_open_of_runner on attempt (runner_id) where state <> 'ended';
create index attempt_lease on attempt (lease_expire_time) where state <> 'ended';

create table job_event (
    job_id       uuid not null references job on delete cascade,
    sequence     bigint not null,
    create_time  timestamptz not null default now(),
    event        bytea not null,                  -- comfyfleet.execution.v1.JobEvent
    primary key (job_id, sequence)
);

create table idempotency (
    account_id   uuid not null,
    request_id   text not null,
    body_digest  bytea not null,
    job_id       uuid not null,
    create_time  timestamptz not null default now(),
    primary key (account_id, request_id)
);
create index idempotency_age on idempotency (create_time);

create table blob (
    hash         bytea primary key,               -- blake3
    size_bytes   bigint not null,
    create_time  timestamptz not null default now()
);

create index blob_age on blob (create_time);

create table asset (
    asset_id      uuid primary key,
    account_id    uuid not null,
    hash          bytea not null references blob,
    content_type  text not null,
    file_path     text not null default '',
    tags          text[] not null default '{}',
    create_time   timestamptz not null default now(),
    expire_time   timestamptz,
    request_id    text,
    created_new   boolean not null default true,  -- the account did not have these bytes before
    -- set for results of a job:
    job_id        uuid references job on delete set null,
    node_id       text,
    name          text,
    kind          text,
    attempt       int,
    position      int,
    -- where the bytes were on the runner, so that the same file is kept once
    source        text
);
create index asset_listing on asset (account_id, create_time desc, asset_id desc);
create index asset_hash on asset (hash, account_id);
create index asset_expiry on asset (expire_time) where expire_time is not null;
create unique index asset_of_job on asset (job_id, attempt, node_id, source) where job_id is not null;
create unique index asset_request on asset (account_id, request_id) where request_id is not null;

-- Replicas of this service that are alive, and which of them drives which runner.
create table replica (
    replica_id   uuid primary key,
    expire_time  timestamptz not null
);

create table runner_lease (
    runner_id    uuid primary key,
    owner        uuid not null,
    expire_time  timestamptz not null
);

-- What a runner can do, as its object_info said.
create table runner_catalogue (
    runner_id     uuid primary key,
    endpoint      text not null,
    version       text not null default '',
    node_classes  text[] not null,
    refresh_time  timestamptz not null default now()
);
