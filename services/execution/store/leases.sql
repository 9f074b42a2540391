-- name: renew
-- One statement a beat: this replica lives, and everything it drives stays its own. Rows that another replica
-- took in the meantime do not come back.
with beat as (
    insert into replica (replica_id, expire_time)
    values ($1, clock_timestamp() + $2::interval)
    on conflict (replica_id) do update set expire_time = excluded.expire_time
), kept as (
    update runner_lease set expire_time = clock_timestamp() + $2::interval
    where owner = $1 and runner_id = any($3::uuid[])
    returning runner_id
), attempts as (
    update attempt set lease_expire_time = clock_timestamp() + $2::interval
    where owner = $1 and state <> 'ended' and runner_id in (select runner_id from kept)
)
select array(select runner_id from kept) as kept,
       (select count(*) from replica where replica_id <> $1 and expire_time > clock_timestamp()) as others;

-- name: free_runners
-- Those of the given runners that nobody drives.
select wanted.runner_id
from unnest($1::uuid[]) as wanted(runner_id)
left join runner_lease lease on lease.runner_id = wanted.runner_id and lease.expire_time > clock_timestamp()
where lease.runner_id is null;

-- name: take_leases
insert into runner_lease as lease (runner_id, owner, expire_time)
select wanted.runner_id, $1, clock_timestamp() + $2::interval
from unnest($3::uuid[]) as wanted(runner_id)
on conflict (runner_id) do update set owner = excluded.owner, expire_time = excluded.expire_time
where lease.expire_time <= clock_timestamp() or lease.owner = excluded.owner
returning runner_id;

-- name: release_leases
with attempts as (
    update attempt set lease_expire_time = clock_timestamp()
    where owner = $1 and state <> 'ended' and runner_id = any($2::uuid[])
)
delete from runner_lease where owner = $1 and runner_id = any($2::uuid[]);

-- name: forget_replica
delete from replica where replica_id = $1 or expire_time < clock_timestamp() - interval '1 hour';
