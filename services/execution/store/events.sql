-- name: append_event
-- The update locks the job, so sequences have no gaps and times never step back.
with bumped as (
    update job set last_sequence = last_sequence + 1 where job_id = $1 returning last_sequence
)
insert into job_event (job_id, sequence, create_time, event)
select $1, last_sequence, clock_timestamp(), $2 from bumped
returning sequence, create_time;

-- name: events_after
select sequence, create_time, event
from job_event
where job_id = $1 and sequence > $2
order by sequence
limit $3;
