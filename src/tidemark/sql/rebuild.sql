-- name: create_remade
-- Without the columns that are not the star's, which nothing would fill here.
create temporary table {remade} on commit drop as
select {columns}
from {table}
with no data;

-- name: close_versions
update {remade} as old
set valid_to = later._tidemark_next_from
from (
    select
        {key},
        lead(valid_from) over (partition by {source_key} order by valid_from) as _tidemark_next_from
    from {remade}
) as later
where {matches} and later._tidemark_next_from is not null;

-- name: analyze
analyze {remade};

-- name: has_unique_key
select count(*) > 0
from pg_index as i
where
    i.indrelid = to_regclass(%(table)s) and i.indisunique and i.indisvalid and i.indpred is null
    and i.indnkeyatts = cardinality(%(key)s::text[])
    and not exists (
        select from pg_attribute as a
        where
            a.attrelid = i.indrelid and a.attnum = any(i.indkey::int2[])
            and a.attname <> all(%(key)s::text[])
    );

-- name: delete_repeated
delete from {table} as old
using {table} as later
where {matches} and (old.tableoid, old.ctid) < (later.tableoid, later.ctid);

-- name: compare
-- The bytes of two rows are compared. Every type has these, also one that has no equality, such as json. Values that
-- are equal and are written otherwise, such as 1.0 and 1.00, differ. A row of the warehouse without a key, whose column
-- was lost, matches nothing.
create temporary table {differences} on commit drop as
select
    old.tableoid as _tidemark_part,
    old.ctid as _tidemark_place,
    later.ctid as _tidemark_made
from {table} as old
full join {remade} as later on {matches}
where old.ctid is null or later.ctid is null or {differs};

-- name: count
select
    (select count(*) from {remade}) as rows,
    count(d._tidemark_made) as missing,
    count(d._tidemark_place) as surplus
from {differences} as d;

-- name: delete_surplus
delete from {table} as old
using {differences} as d
where old.tableoid = d._tidemark_part and old.ctid = d._tidemark_place and d._tidemark_made is null;

-- name: check_references
set constraints all immediate;

-- name: surplus_keys
select concat_ws(', ', {old_key}) as key
from {table} as old
inner join {differences} as d on old.tableoid = d._tidemark_part and old.ctid = d._tidemark_place
where d._tidemark_made is null
order by {old_key}
limit {most};

-- name: end_versions
-- First, so that a version which becomes the current one meets no other.
update {table} as old
set valid_to = later.valid_to
from {differences} as d
inner join {remade} as later on d._tidemark_made = later.ctid
where
    {matches} and d._tidemark_place is not null
    and later.valid_to is not null and old.valid_to is distinct from later.valid_to;

-- name: set_apart
-- Rows may have to change places within a unique index, where each meets another that is still to be changed. So they
-- first go to moments of their own before all history.
update {table} as old
set
    valid_from = timestamp '4700-01-01 00:00:00 BC' + old.{surrogate} * interval '1 microsecond',
    valid_to = timestamp '4600-01-01 00:00:00 BC' + old.{surrogate} * interval '1 microsecond'
from {differences} as d
inner join {remade} as later on d._tidemark_made = later.ctid
where {matches} and d._tidemark_place is not null and {is_elsewhere};

-- name: update_differing
update {table} as old
set {assignments}
from {differences} as d
inner join {remade} as later on d._tidemark_made = later.ctid
where {matches} and d._tidemark_place is not null and {differs};

-- name: insert_missing
insert into {table} ({columns})
select {later_columns}
from {remade} as later
inner join {differences} as d on later.ctid = d._tidemark_made
where d._tidemark_place is null;

-- name: put_ledger_right
insert into tidemark.batch as old (batch, pipeline_id, run_id, captured_at, model, row_counts, checksums)
values (%(batch)s, %(pipeline_id)s, %(run_id)s, %(captured_at)s, %(model)s, %(row_counts)s, %(checksums)s)
on conflict (batch) do update set
    pipeline_id = excluded.pipeline_id,
    captured_at = excluded.captured_at,
    model = excluded.model,
    row_counts = excluded.row_counts,
    checksums = excluded.checksums
where
old.pipeline_id <> excluded.pipeline_id
or old.captured_at <> excluded.captured_at
or old.model <> excluded.model
or old.row_counts <> excluded.row_counts
or old.checksums is distinct from excluded.checksums;

-- name: shorten_ledger
delete from tidemark.batch
where batch > %(batch)s;

-- name: mark
update tidemark.batch
set tables = %(tables)s
where batch = %(batch)s and tables is distinct from %(tables)s::jsonb;
