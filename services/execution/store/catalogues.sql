-- name: store_catalogue
insert into runner_catalogue (runner_id, endpoint, version, node_classes)
select $1, $2, $3, $4
where exists (select 1 from runner_lease where runner_id = $1 and owner = $5)
on conflict (runner_id) do update
set endpoint = excluded.endpoint, version = excluded.version, node_classes = excluded.node_classes,
    refresh_time = clock_timestamp();

-- name: catalogues
select runner_id, endpoint, version, node_classes, refresh_time
from runner_catalogue
where $1::timestamptz is null or refresh_time > $1;
