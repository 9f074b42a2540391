-- name: append_event
-- The update locks the job, so sequences have no gaps and times never step back.
with bumped as (
    update job set last_sequence = last_sequence + 1 where job_id = $1 returning last_sequence
)
insert into job_event (job_id, sequence, create_time, event)
select $1, last_sequence, clock_timestamp(), $2 from bumped
returning sequence, create_time;

-- name: append_events
with bumped as (
    update job set last_sequence = last_sequence + cardinality($2::bytea[]) where job_id = $1 returning last_sequence
), written as (
    insert into job_event (job_id, sequence, create_time, event)
    select $1, last_sequence - cardinality($2) + told.position, clock_timestamp(), told.event
    from bumped cross join unnest($2) with ordinality as told(event, position)
    returning sequence, create_time
)
select sequence, create_time from written order by sequence;

-- name: events_after
select sequence, create_time, event
from job_event
where job_id = $1 and sequence > $2
order by sequence
limit $3;
