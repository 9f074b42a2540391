-- name: next_revision
update revision set value = value + 1 returning value

-- name: current_revision
select value from revision

-- name: insert_account
insert into account (account_id, name, email, tier, provider) values ($1, $2, $3, $4, $5) returning *

-- name: get_account
select * from account where account_id = $1

-- name: lock_account
select * from account where account_id = $1 for update

-- name: list_accounts
select * from account
where $1::timestamptz is null or (create_time, account_id) < ($1, $2::uuid)
order by create_time desc, account_id desc limit $3

-- name: update_account
update account set
    name = coalesce($2, name), tier = coalesce($3, tier), deleted = coalesce($4, deleted), update_time = now()
where account_id = $1 returning *

-- name: insert_token
insert into token (token_id, account_id, kind, name, digest, expire_time) values ($1, $2, $3, $4, $5, $6) returning *

-- name: rotate_token
update token set digest = $3, create_time = now(), last_used_time = null
where account_id = $1 and kind = $2 returning *

-- name: list_tokens
select * from token
where account_id = $1 and ($2::timestamptz is null or (create_time, token_id) < ($2, $3::uuid))
order by create_time desc, token_id desc limit $4

-- name: delete_token
delete from token where token_id = $1 and kind = 'named' and ($2::uuid is null or account_id = $2) returning token_id

-- name: tokens_by_prefix
select token.*, account.tier, account.deleted, token.expire_time <= now() as expired
from token join account using (account_id)
where substring(digest for 8) = $1

-- name: touch_token
update token set last_used_time = now()
where token_id = $1 and (last_used_time is null or last_used_time < now() - interval '1 minute')

-- name: count_runners
select count(*) from runner where account_id = $1 and delete_time is null

-- name: insert_runner
insert into runner (runner_id, account_id, name, endpoint, headers, tags, runner_type, revision)
values ($1, $2, $3, $4, $5, $6, $7, $8) returning *

-- name: get_runner
select * from runner where runner_id = $1 and delete_time is null

-- name: lock_runner
select * from runner where runner_id = $1 and delete_time is null for update

-- name: list_runners
select * from runner
where account_id = $1 and delete_time is null
  and ($2::text is null or state = $2)
  and ($3::timestamptz is null or (create_time, runner_id) < ($3, $4::uuid))
order by create_time desc, runner_id desc offset $5 limit $6

-- name: count_listed_runners
select count(*) from runner where account_id = $1 and delete_time is null and ($2::text is null or state = $2)

-- name: list_managed_runners
select * from runner
where runner_type = any($1::text[]) and delete_time is null and (state = 'active' or not $2)
  and ($3::timestamptz is null or (create_time, runner_id) < ($3, $4::uuid))
order by create_time desc, runner_id desc offset $5 limit $6

-- name: count_managed_runners
select count(*) from runner
where runner_type = any($1::text[]) and delete_time is null and (state = 'active' or not $2)

-- name: update_runner
update runner set
    name = coalesce($2, name), endpoint = coalesce($3, endpoint), headers = coalesce($4, headers),
    tags = coalesce($5, tags), state = coalesce($6, state), update_time = now(), revision = $7,
    next_probe_time = now()
where runner_id = $1 returning *

-- name: delete_runner
update runner set delete_time = now(), revision = $2 where runner_id = $1

-- name: runners_after
select * from runner
where revision > $1 and (delete_time is null or $1 > 0)
  and ($2::uuid is null or account_id = $2 or (runner_type = any($3::text[]) and account_id is null))
order by revision

-- name: claim_probes
update runner set next_probe_time = now() + $2
where runner_id in (
    select runner_id from runner
    where next_probe_time <= now() and delete_time is null
    order by next_probe_time limit $1 for update skip locked
)
returning *

-- name: save_probe
update runner set
    health = $2, probe_time = now(), misses = $3, queue_remaining = $4, latency_ms = $5, version = $6, failure = $7,
    last_answer_time = case when $3 = 0 then now() else last_answer_time end,
    next_probe_time = now() + $8, revision = coalesce($9, revision)
where runner_id = $1 and delete_time is null

-- name: answer_of
select answer_id from answered where scope = $1 and method = $2 and request_id = $3

-- name: insert_answer
insert into answered (scope, method, request_id, answer_id) values ($1, $2, $3, $4)
