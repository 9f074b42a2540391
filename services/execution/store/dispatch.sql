-- name: waiting_selectors
-- Jumps through the index from selector to selector, however many jobs wait.
with recursive waiting as (
    (select selector_id from job where state = 'queued' and not attempt_open order by selector_id limit 1)
    union all
    select (
        select job.selector_id from job
        where state = 'queued' and not attempt_open and job.selector_id > waiting.selector_id
        order by selector_id limit 1
    )
    from waiting where waiting.selector_id is not null
)
select selector.* from waiting join selector using (selector_id);

-- name: claim_job
-- The best job that waits for a runner like this one. The lease row is locked, so that it cannot change hands
-- meanwhile. A runner that refused a job never gets it again; one that lost it lets others go first.
with lease as materialized (
    select 1 from runner_lease
    where runner_id = $1 and owner = $2 and expire_time > clock_timestamp()
    for share
), best as materialized (
    select candidate.job_id
    from selector
    cross join lateral (
        select job.job_id, job.priority, job.queue_time
        from job
        where job.selector_id = selector.selector_id and job.state = 'queued' and not job.attempt_open
          and (job.attempt_count = 0 or not exists (
              select 1 from attempt
              where attempt.job_id = job.job_id and attempt.runner_id = $1
                and (attempt.failure_class = 'invalid'
                     or attempt.end_time > clock_timestamp() - $4::interval)))
        order by job.priority desc, job.queue_time, job.job_id
        limit 1
        for update of job skip locked
    ) candidate
    where selector.digest = any($3::bytea[]) and exists (select 1 from lease)
    order by candidate.priority desc, candidate.queue_time, candidate.job_id
    limit 1
), claimed as (
    update job set attempt_open = true, attempt_count = attempt_count + 1
    from best where job.job_id = best.job_id
    returning job.*
), opened as (
    insert into attempt (job_id, number, runner_id, prompt_id, state, owner, lease_expire_time)
    select job_id, attempt_count, $1, $5, 'claimed', $2, clock_timestamp() + $6::interval from claimed
    returning *
)
select opened.*, claimed.account_id, claimed.state as job_state, claimed.needs_extra_data, claimed.node_count,
       claimed.expire_time as job_expire_time, claimed.attempt_count, job_workflow.workflow,
       selector.tier, selector.tags, selector.runner_id as pinned_runner_id, selector.node_classes
from opened
join claimed using (job_id)
join job_workflow using (job_id)
join selector on selector.selector_id = claimed.selector_id;

-- name: adopt_attempt
-- The open attempt on a runner whose lease we hold becomes ours, whoever drove it before.
with lease as materialized (
    select 1 from runner_lease
    where runner_id = $1 and owner = $2 and expire_time > clock_timestamp()
    for share
), opened as (
    update attempt set owner = $2, lease_expire_time = clock_timestamp() + $3::interval
    where runner_id = $1 and state <> 'ended' and exists (select 1 from lease)
    returning *
)
select opened.*, job.account_id, job.state as job_state, job.needs_extra_data, job.node_count,
       job.expire_time as job_expire_time, job.attempt_count, job_workflow.workflow,
       selector.tier, selector.tags, selector.runner_id as pinned_runner_id, selector.node_classes
from opened
join job using (job_id)
join job_workflow using (job_id)
join selector on selector.selector_id = job.selector_id;

-- name: adopt_orphans
-- Attempts that nobody can go on with: their runner was removed and their driver is gone.
with opened as (
    update attempt set owner = $1, lease_expire_time = clock_timestamp() + $2::interval
    where state <> 'ended' and lease_expire_time <= clock_timestamp() and not runner_id = any($3::uuid[])
    returning *
)
select opened.*, job.account_id, job.state as job_state, job.needs_extra_data, job.node_count,
       job.expire_time as job_expire_time, job.attempt_count, job_workflow.workflow,
       selector.tier, selector.tags, selector.runner_id as pinned_runner_id, selector.node_classes
from opened
join job using (job_id)
join job_workflow using (job_id)
join selector on selector.selector_id = job.selector_id;

-- name: mark_staged
update attempt set state = 'staged'
where job_id = $1 and number = $2 and owner = $3 and state = 'claimed'
returning *;

-- name: mark_submitted
update attempt set state = 'submitted', runner_prompt_id = $4, submit_time = clock_timestamp()
where job_id = $1 and number = $2 and owner = $3 and state in ('claimed', 'staged')
returning *;

-- name: mark_running
update attempt set state = 'running', start_time = clock_timestamp(),
                   submit_time = coalesce(submit_time, clock_timestamp())
where job_id = $1 and number = $2 and owner = $3 and state in ('claimed', 'staged', 'submitted')
returning *;

-- name: mark_job_running
update job set state = 'running', start_time = coalesce(start_time, clock_timestamp())
where job_id = $1 and state = 'queued'
returning state;

-- name: mark_ended
update attempt set state = 'ended', end_time = clock_timestamp(), failure_class = $4, message = $5
where job_id = $1 and number = $2 and owner = $3 and state <> 'ended'
returning *;

-- name: end_job
-- A job that is being cancelled ends cancelled, whatever its last attempt came to.
update job
set state = case when state = 'canceling' then 'canceled' else $2 end,
    error = case when $2 = 'failed' and state <> 'canceling' then $3::bytea end,
    progress = coalesce($4, progress), attempt_open = false, end_time = clock_timestamp()
where job_id = $1 and state in ('queued', 'running', 'canceling')
returning state;

-- name: requeue_job
update job set state = 'queued', attempt_open = false, queue_time = clock_timestamp(), progress = null
where job_id = $1 and state in ('queued', 'running')
returning state;

-- name: store_progress
update job set progress = $4
where job_id = $1 and exists (
    select 1 from attempt where job_id = $1 and number = $2 and owner = $3 and state <> 'ended');

-- name: guard_attempt
select 1 from attempt where job_id = $1 and number = $2 and owner = $3 and state <> 'ended' for update;

-- name: keep_output
insert into asset (asset_id, account_id, hash, content_type, file_path, expire_time,
                   job_id, node_id, name, kind, attempt, position, source)
values ($1, $2, $3, $4, $5, $6, $7, $8, $5, $9, $10, $11, $12)
on conflict (job_id, attempt, node_id, source) where job_id is not null do nothing
returning asset_id;

-- name: stored_outputs
select node_id, source from asset where job_id = $1 and attempt = $2;

-- name: canceled_jobs
select job.job_id from attempt join job using (job_id)
where attempt.owner = $1 and attempt.state <> 'ended' and job.state = 'canceling';

-- name: ended_attempts
-- Which of these prompts are ours and over.
select prompt_id from attempt where prompt_id = any($1::uuid[]) and state = 'ended';

-- name: refused_by
select runner_id from attempt where job_id = $1 and failure_class = 'invalid';

-- name: input_assets
select asset.asset_id, asset.hash, asset.file_path, asset.content_type
from job_input join asset using (asset_id)
where job_input.job_id = $1;
