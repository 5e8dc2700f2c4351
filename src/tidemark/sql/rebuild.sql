-- name: create_remade
create temporary table {remade} (like {table}) on commit drop;

-- name: close_versions
update {remade} as old
set valid_to = later.valid_from
from (
    select
        {key},
        lead(valid_from) over (partition by {source_key} order by valid_from) as valid_from
    from {remade}
) as later
where {matches} and later.valid_from is not null;

-- name: analyze
analyze {remade};

-- name: compare
select
    (select count(*) from {remade}) as rows,
    (
        select count(*)
        from (
            select {columns} from {remade}
            except all
            select {columns} from {table}
        ) as only_made
    ) as missing,
    (
        select count(*)
        from (
            select {columns} from {table}
            except all
            select {columns} from {remade}
        ) as only_present
    ) as surplus;

-- name: put_right
insert into {table} ({columns})
select {columns} from {remade}
except
select {columns} from {table}
on conflict ({key}) do update set {assignments};

-- name: delete_differing
delete from {table} as old
using (
    select {columns} from {table}
    except all
    select {columns} from {remade}
) as later
where {matches};

-- name: insert_absent
insert into {table} ({columns})
select {columns}
from {remade} as later
where not exists (
    select from {table} as old
    where {matches}
);

-- name: put_ledger_right
insert into tidemark.batch (batch, pipeline_id, run_id, captured_at, model, row_counts, checksums)
values (%(batch)s, %(pipeline_id)s, %(run_id)s, %(captured_at)s, %(model)s, %(row_counts)s, %(checksums)s)
on conflict (batch) do update set
    captured_at = excluded.captured_at,
    model = excluded.model,
    row_counts = excluded.row_counts,
    checksums = excluded.checksums;

-- name: shorten_ledger
delete from tidemark.batch
where batch > %(batch)s;

-- name: mark
update tidemark.batch
set tables = %(tables)s
where batch = %(batch)s;

-- name: delete_surplus
delete from {table} as old
where not exists (
    select from {remade} as later
    where {matches}
);
