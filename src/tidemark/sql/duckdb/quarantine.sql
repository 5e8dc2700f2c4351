-- name: open_rows
select {columns}
from (
    select
        *,
        coalesce(ordinal::varchar, key::varchar) as identity
    from {set_aside}
) as q
where
    not exists (
        select 1
        from (
            select
                batch as released_in,
                coalesce(ordinal::varchar, key::varchar) as identity
            from {released}
        ) as r
        where r.identity = q.identity and r.released_in > q.batch
    );

-- name: lines_set_aside
select to_json({line})::varchar as line
from (
    select
        *,
        {batch}::bigint as batch
    from {aside}
)
order by
    ordinal,
    line;

-- name: lines_released
select to_json(struct_pack(batch := {batch}::bigint, ordinal := ordinal, key := key))::varchar as line
from {released}
order by line;

-- name: sample
select
    key,
    reason
from {aside}
order by
    ordinal,
    reason
limit 1;

-- name: refused_changes
insert into {aside}
select
    p._tidemark_ordinal,
    {key} as key,
    p._op,
    r.reason,
    r.waits,
    p._tidemark_captured_at::varchar as captured_at,
    {row} as row
from {part} as p
inner join {refused} as r on p._tidemark_ordinal = r.ordinal;

-- name: judged_wrong
select
    {surrogate} as ordinal,
    coalesce(_tidemark_wrong, _tidemark_missing) as reason,
    _tidemark_wrong is null as waits
from {rows}
where _tidemark_wrong is not null or _tidemark_missing is not null;

-- name: unreadable_changes
select
    _tidemark_ordinal as ordinal,
    {reason} as reason,
    false as waits
from {part}
where {reason} is not null;

-- name: changes_without_row
select
    _tidemark_ordinal as ordinal,
    'the SELECT yields no row for it any more' as reason,
    false as waits
from {retried}
where
    _tidemark_ordinal not in (
        select {surrogate}
        from {written}
        union all
        select ordinal
        from {aside}
    );

-- name: refused_rows
insert into {aside}
select
    null as ordinal,
    {key} as key,
    'update' as op,
    _tidemark_wrong,
    false as waits,
    {captured_at} as captured_at,
    {row} as row
from {rows}
where _tidemark_wrong is not null;

-- name: open_keys
select
    ordinal as _tidemark_ordinal,
    {keys}
from {open_rows};

-- name: retried
select
    {values},
    r.op as _op,
    r.ordinal as _tidemark_ordinal,
    r.key as _tidemark_key,
    r.captured_at::timestamp as _tidemark_captured_at,
    r.reason as _tidemark_reason,
    r.waits as _tidemark_waits,
    t.turn as _tidemark_turn
from (
    select
        * exclude (row),
        from_json(row, {types}) as v
    from {open_rows}
    where {where}
) as r
inner join (
    select
        ordinal,
        row_number() over (partition by {keys} order by ordinal) as turn
    from {open_rows}
    where {where}
) as t on r.ordinal = t.ordinal;

-- name: deletions
-- Of a row that is set aside again, for another reason, only one is given.
select distinct on (ordinal)
    ordinal,
    key,
    op,
    reason,
    waits,
    captured_at,
    row
from (
    select
        ordinal,
        key,
        op,
        reason,
        waits,
        captured_at,
        row
    from {aside}
    union all
    select
        ordinal,
        key,
        op,
        reason,
        waits,
        captured_at,
        row
    from {before}
)
where op = 'delete';

-- name: last_turn
select coalesce(max(_tidemark_turn), 0)
from {retried};

-- name: without
select *
from {rows}
where not ({where});

-- name: turn
select * exclude (_tidemark_turn, _tidemark_key, _tidemark_reason, _tidemark_waits)
from {retried}
where {where};

-- name: staying_changes
select r._tidemark_ordinal
from {retried} as r
inner join {aside} as a
    on r._tidemark_ordinal = a.ordinal and r._tidemark_reason = a.reason and r._tidemark_waits = a.waits;

-- name: drop_staying_changes
delete from {aside}
where ordinal in (
    select _tidemark_ordinal
    from {staying}
);

-- name: leaving_changes
select
    _tidemark_ordinal as ordinal,
    _tidemark_key as key
from {retried}
where
    _tidemark_ordinal not in (
        select _tidemark_ordinal
        from {staying}
    );

-- name: staying_rows
select {same} as same
from {open_rows}
intersect
select {same} as same
from {aside};

-- name: drop_staying_rows
delete from {aside}
where
    {same} in (
        select same
        from {staying}
    );

-- name: leaving_rows
select
    ordinal,
    key
from {open_rows}
where
    {same} not in (
        select same
        from {staying}
    );

-- name: list_rows
select {columns}
from {rows}
where {where}
order by
    batch,
    ordinal,
    key::varchar;

-- name: heaps
-- Rows are grouped by reason without the value that it quotes, so that rows with the same fault are counted together.
select
    regexp_replace(
        regexp_replace(reason, ' is ''.*'', which ', ' is …, which ', 's'),
        '^(\S+) .* is not in its dimension$', '\1 … is not in its dimension', 's'
    ) as brief,
    count(*) as row_count,
    count(*) filter (where waits) as waiting,
    min(batch) as oldest_batch,
    min(captured_at) as oldest_captured_at
from {rows}
group by brief
order by row_count desc, brief asc;
