-- name: find_request
select body_digest, job_id from idempotency
where account_id = $1 and request_id = $2 and create_time > now() - interval '24 hours';

-- name: claim_request
-- Waits for a concurrent call with the same key; gives a row only to the one that gets it.
insert into idempotency (account_id, request_id, body_digest, job_id)
values ($1, $2, $3, $4)
on conflict (account_id, request_id) do update
    set body_digest = excluded.body_digest, job_id = excluded.job_id, create_time = now()
    where idempotency.create_time <= now() - interval '24 hours'
returning job_id;

-- name: selector_id
-- Gives no row when another transaction made the same selector at this moment: ask again.
with found as (
    select selector_id from selector where digest = $1
), made as (
    insert into selector (digest, account_id, tier, tags, runner_id, node_classes)
    select $1, $2, $3, $4, $5, $6 where not exists (select from found)
    on conflict (digest) do nothing
    returning selector_id
)
select selector_id from found union all select selector_id from made;

-- name: hold_assets
-- The lock keeps the assets from being deleted until the job that reads them is stored.
select asset_id from asset
where asset_id = any($1::uuid[]) and account_id = $2 and (expire_time is null or expire_time > now())
for share;

-- name: insert_job
with stored as (
    insert into job (job_id, account_id, selector_id, state, priority, labels, needs_extra_data, node_count,
                     expire_time, last_sequence)
    values ($1, $2, $3, 'queued', $4, $5, $6, $7, now() + $8::interval, 1)
    returning job_id
), worded as (
    insert into job_workflow (job_id, workflow) select job_id, $9 from stored
), reading as (
    insert into job_input (job_id, asset_id) select job_id, unnest($10::uuid[]) from stored
)
insert into job_event (job_id, sequence, create_time, event)
select job_id, 1, clock_timestamp(), $11 from stored;

-- name: lock_account
select pg_advisory_xact_lock(hashtextextended('open jobs of ' || $1::text, 0));

-- name: open_jobs
select count(*) from job where account_id = $1 and state in ('queued', 'running', 'canceling');

-- name: find_job
select j.*, s.digest, s.tier, s.tags, s.runner_id, s.node_classes
from job j join selector s using (selector_id)
where j.job_id = $1 and ($2::uuid is null or j.account_id = $2);

-- name: queue_position
-- Only the account's own jobs that want the same runners count; what others wait for is not shown.
select count(*) from (
    select 1
    from job other
    join selector theirs on theirs.selector_id = other.selector_id
    join (job mine join selector ours using (selector_id)) on mine.job_id = $1
    where other.account_id = mine.account_id
      and other.state = 'queued' and not other.attempt_open
      and (other.priority > mine.priority
           or other.priority = mine.priority and (other.queue_time, other.job_id) < (mine.queue_time, mine.job_id))
      and theirs.tags = ours.tags and theirs.runner_id is not distinct from ours.runner_id
    limit 1000
) ahead;

-- name: list_jobs
select j.*, s.digest, s.tier, s.tags, s.runner_id, s.node_classes
from job j join selector s using (selector_id)
where j.account_id = $1
  and ($2::timestamptz is null or (j.create_time, j.job_id) < ($2, $3::uuid))
  and ($4::text[] is null or j.state = any($4))
  and ($5::jsonb is null or j.labels @> $5)
order by j.create_time desc, j.job_id desc
limit $6;

-- name: workflow
select workflow from job_workflow join job using (job_id) where job_id = $1 and account_id = $2;

-- name: attempts
select number, runner_id, prompt_id, state, create_time, submit_time, start_time, end_time, failure_class, message
from attempt where job_id = $1 order by number;

-- name: outputs
-- An attempt that was lost may have left some results; the newest attempt that has any counts.
select a.asset_id, a.node_id, a.name, a.kind, a.content_type, b.size_bytes, a.hash, a.attempt
from asset a join blob b using (hash)
where a.job_id = $1 and a.attempt = (select max(attempt) from asset where job_id = $1)
order by a.create_time, a.position;

-- name: lock_job
select state, attempt_open from job where job_id = $1 and account_id = $2 for update;

-- name: end_waiting
update job set state = $2, error = $3, end_time = now() where job_id = $1;

-- name: begin_canceling
update job set state = 'canceling' where job_id = $1;

-- name: overdue
-- The sweep holds each row so that no claim can take it meanwhile; rows that somebody works on are left alone.
select j.*, s.digest, s.tier, s.tags, s.runner_id, s.node_classes
from job j join selector s using (selector_id)
where j.state = 'queued' and not j.attempt_open and j.queue_time < now() - $1::interval
order by j.queue_time
limit $2
for update of j skip locked;

-- name: count_waiting
select count(*) from (select from job where state = 'queued' and not attempt_open limit 100000) waiting;

-- name: forget_requests
delete from idempotency where create_time < now() - interval '24 hours';

-- name: forget_jobs
with old as (
    select job_id from job
    where expire_time < now() and end_time is not null
    limit $1
    for update skip locked
)
delete from job using old where job.job_id = old.job_id;

-- name: forget_replicas
-- An hour past its expiry nobody asks for a replica any more.
delete from replica where expire_time < now() - interval '1 hour';
