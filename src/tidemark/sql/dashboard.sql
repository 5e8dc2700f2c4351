-- name: patience
-- All rows of a cursor are fetched at once, so it is planned for all of them.
select
    set_config('statement_timeout', %(patience)s, true) as patience,
    set_config('cursor_tuple_fraction', '1', true) as fraction;

-- name: newest_batch
select coalesce(max(batch), 0) from tidemark.batch;

-- name: ledger_of_batch
select
    batch,
    pipeline_id,
    run_id,
    captured_at,
    loaded_at,
    row_counts
from tidemark.batch
where batch = %(batch)s;

-- name: keys_of_batch
select
    {key},
    valid_from,
    is_deleted
from {table}
where batch_id = %(batch)s
order by {order}
limit %(most)s;

-- name: rows_over_time
-- How many rows of a table of versions were live after each batch.
with steps as (
    select
        batch_id,
        cast(not is_deleted as integer)
        - coalesce(lag(cast(not is_deleted as integer)) over (partition by {key} order by valid_from), 0) as step
    from {table}
),

batches as (
    select
        batch_id,
        count(*) as versions,
        sum(step) as added
    from steps
    group by batch_id
)

select
    ledger.captured_at as batch_of,
    sum(coalesce(batches.added, 0)) over (order by ledger.batch) as live_rows,
    sum(coalesce(batches.versions, 0)) over (order by ledger.batch) as versions
from tidemark.batch as ledger
left join batches on ledger.batch = batches.batch_id
order by ledger.batch;

-- name: as_of
-- How many rows were live at a moment, how many are now, and what has happened in between.
select
    count(*) filter (
        where not is_deleted and valid_from <= cast(%(moment)s as timestamp)
        and (valid_to is null or valid_to > cast(%(moment)s as timestamp))
    ) as live_then,
    count(*) filter (where valid_to is null and not is_deleted) as live_now,
    count(*) filter (where valid_from > cast(%(moment)s as timestamp) and not is_deleted) as versions_since,
    count(*) filter (where valid_from > cast(%(moment)s as timestamp) and is_deleted) as deletions_since
from {table};

-- name: latest_changes
-- The newest versions that came after a moment.
select
    {key},
    valid_from,
    is_deleted,
    batch_id
from {table}
where valid_from > cast(%(moment)s as timestamp)
order by valid_from desc, {order} asc
limit %(most)s;
