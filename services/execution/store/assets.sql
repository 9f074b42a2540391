-- name: hold_blob
-- Locks the row: the sweep cannot take the bytes away until the transaction ends.
insert into blob (hash, size_bytes) values ($1, $2)
on conflict (hash) do update set create_time = now();

-- name: account_has
select exists (select from asset where hash = $1 and account_id = $2);

-- name: insert_asset
-- Gives no row when the account used the request_id before.
insert into asset (asset_id, account_id, hash, content_type, file_path, tags, expire_time, request_id, created_new)
values ($1, $2, $3, $4, $5, $6, now() + $7::interval, $8, $9)
on conflict (account_id, request_id) where request_id is not null do nothing
returning asset_id;

-- name: find_asset
select a.*, b.size_bytes
from asset a join blob b using (hash)
where a.asset_id = $1 and a.account_id = $2 and (a.expire_time is null or a.expire_time > now());

-- name: find_asset_by_request
select a.*, b.size_bytes
from asset a join blob b using (hash)
where a.account_id = $1 and a.request_id = $2;

-- name: mintable
-- A record of the account over these bytes; the lock keeps it, and so the bytes, until the transaction ends.
select a.content_type, b.size_bytes
from asset a join blob b using (hash)
where a.hash = $1 and a.account_id = $2 and (a.expire_time is null or a.expire_time > now())
order by a.create_time desc
limit 1
for share of a;

-- name: extend_equal
-- Asking for the same record again keeps it longer, never shorter.
update asset set expire_time = case
    when expire_time is null or $5::interval is null then null
    else greatest(expire_time, now() + $5)
end
where asset_id = (
    select asset_id from asset
    where hash = $1 and account_id = $2 and file_path = $3 and tags = $4 and job_id is null
      and (expire_time is null or expire_time > now())
    order by create_time
    limit 1
    for update
)
returning asset_id;

-- name: list_assets
select a.*, b.size_bytes
from asset a join blob b using (hash)
where a.account_id = $1 and (a.expire_time is null or a.expire_time > now())
  and ($2::timestamptz is null or (a.create_time, a.asset_id) < ($2, $3::uuid))
order by a.create_time desc, a.asset_id desc
limit $4;

-- name: lock_asset
select asset_id from asset
where asset_id = $1 and account_id = $2 and (expire_time is null or expire_time > now())
for update;

-- name: asset_in_use
select exists (
    select from job_input join job using (job_id)
    where job_input.asset_id = $1 and job.state in ('queued', 'running', 'canceling')
    union all
    select from asset join job using (job_id)
    where asset.asset_id = $1 and job.state in ('queued', 'running', 'canceling')
);

-- name: delete_asset
delete from asset where asset_id = $1;

-- name: forget_expired
with old as (
    select asset_id from asset a
    where a.expire_time < now()
      and not exists (
          select from job_input join job using (job_id)
          where job_input.asset_id = a.asset_id and job.state in ('queued', 'running', 'canceling'))
    limit $1
    for update skip locked
)
delete from asset using old where asset.asset_id = old.asset_id;

-- name: orphan_candidates
select hash from blob b
where b.create_time < now() - $1::interval and not exists (select from asset a where a.hash = b.hash)
limit $2;

-- name: lock_blob
select hash from blob where hash = $1 for update skip locked;

-- name: blob_referenced
select exists (select from asset where hash = $1);

-- name: delete_blob
delete from blob where hash = $1;
