-- name: changes
select
    {fields},
    s.batch as _tidemark_batch,
    s.ordinal + r.file_row_number - s.place as _tidemark_ordinal,
    s.captured_at as _tidemark_captured_at
from {rows} as r
inner join {spans} as s on r.file_row_number between s.place and s.last_place;

-- name: spans
select
    unnest({places}::bigint[]) as place,
    unnest({last_places}::bigint[]) as last_place,
    unnest({batches}::bigint[]) as batch,
    unnest({ordinals}::bigint[]) as ordinal,
    unnest({moments}::timestamp[]) as captured_at;

-- name: last_changes
-- What many changes of a key come to: a row that came and went again is no change at all.
select
    {fields},
    case
        when _op = 'delete' then 'delete'
        when _tidemark_first_op = 'insert' then 'insert'
        else 'update'
    end as _op
from (
    select
        *,
        first_value(_op) over (
            partition by {keys}
            order by _tidemark_ordinal
        ) as _tidemark_first_op
    from {change}
    qualify
        row_number() over (
            partition by {keys}
            order by _tidemark_ordinal desc
        ) = 1
)
where _op <> 'delete' or _tidemark_first_op <> 'insert';

-- name: set_batch
set variable tidemark_batch = {batch};

-- name: changes_of_batch
select *
from {changes}
where _tidemark_batch = getvariable('tidemark_batch');

-- name: state_in_batch
select {fields}
from {states}
where getvariable('tidemark_batch') between _tidemark_first and _tidemark_last;

-- name: live_in_batch
select {fields}
from {states}
where getvariable('tidemark_batch') between _tidemark_first and _tidemark_last and not _tidemark_is_gone;

-- name: states
-- A row that a batch deletes is seen in this batch one last time.
select
    {fields},
    0 as _tidemark_first,
    coalesce(c._tidemark_first - 1, {last}) as _tidemark_last,
    false as _tidemark_is_gone
from {there} as l
left join (
    select
        {keys},
        min(_tidemark_batch) as _tidemark_first
    from {changes}
    group by {keys}
) as c using ({keys})
union all
select
    {fields},
    _tidemark_batch,
    case
        when _op = 'delete' then _tidemark_batch
        else
            coalesce(
                lead(_tidemark_batch) over (
                    partition by {keys}
                    order by _tidemark_ordinal
                ) - 1,
                {last}
            )
    end as _tidemark_last,
    _op = 'delete' as _tidemark_is_gone
from {changes};

-- name: no_changes
select
    {fields},
    0::bigint as _tidemark_batch,
    0::bigint as _tidemark_ordinal,
    '' as _op
from {there}
limit 0;

-- name: made_of_nothing
select
    0::bigint as _tidemark_batch,
    *
from {made}
limit 0;

-- name: marked_of_nothing
select
    0::bigint as _tidemark_batch,
    false as is_deleted,
    *
from {made}
limit 0;

-- name: make
insert into {target}
select
    {batch} as _tidemark_batch,
    *
from {made};

-- name: make_what_differs
insert into {target}
select
    {batch} as _tidemark_batch,
    s.*
from {made} as s
anti join {before} as p on {identical};

-- name: make_steps
insert into {target}
select
    {batch} as _tidemark_batch,
    false as is_deleted,
    s.*
from {now} as s
anti join {before} as p on {identical}
union all
select
    {batch} as _tidemark_batch,
    true as is_deleted,
    {fields}
from {before} as p
anti join {now} as s on {same};

-- name: forget_changed
delete from {before} as p
using {made} as m
where m._tidemark_batch = {batch} and {same};

-- name: first_batch
select min(_tidemark_batch)
from {rows}
where {where};

-- name: first_repeated
select min(_tidemark_batch)
from (
    select _tidemark_batch
    from {rows}
    group by
        _tidemark_batch,
        {keys}
    having count(*) > 1
);

-- name: steps
-- Each row that is new or has other values than the one before, as batch by batch would find it.
with seen as (
    select
        {fields},
        _tidemark_batch
    from {made}
    union all
    select
        {fields},
        0 as _tidemark_batch
    from {there}
    semi join {made} using ({keys})
)

select
    *,
    min(_tidemark_batch) over (partition by {keys}) > 0 as _tidemark_is_new
from seen
qualify
    _tidemark_batch > 0
    and (
        row_number() over (
            partition by {keys}
            order by _tidemark_batch
        ) = 1
        or row({fields}) is distinct from lag(row({fields})) over (
            partition by {keys}
            order by _tidemark_batch
        )
    );

-- name: last_steps
select
    {fields},
    _tidemark_batch as batch_id,
    case when _tidemark_is_new then 'insert' else 'update' end as _op
from {steps}
qualify
    row_number() over (
        partition by {keys}
        order by _tidemark_batch desc
    ) = 1;

-- name: in_turn
select
    *,
    row_number() over (
        partition by {keys}
        order by _tidemark_ordinal
    ) as _tidemark_turn
from {dated};

-- name: versions
-- Each version begins after the one before it, whose moment has to be known first: see `versions` of the star.
with recursive known as (
    select
        {keys},
        max(valid_from) as _tidemark_previous_from
    from {written}
    semi join {dated} using ({keys})
    group by {keys}
),

grown as (
    select
        d.*,
        case
            when
                k._tidemark_previous_from is null
                or d._tidemark_since >= k._tidemark_previous_from + interval 1 microsecond
                then d._tidemark_since
            else greatest(d._tidemark_captured_at, k._tidemark_previous_from + interval 1 microsecond)
        end as valid_from
    from {dated} as d
    left join known as k using ({keys})
    where d._tidemark_turn = 1
    union all
    select
        d.*,
        case
            when d._tidemark_since >= g.valid_from + interval 1 microsecond then d._tidemark_since
            else greatest(d._tidemark_captured_at, g.valid_from + interval 1 microsecond)
        end as valid_from
    from {dated} as d
    inner join grown as g on d._tidemark_turn = g._tidemark_turn + 1 and {same}
)

select *
from grown;

-- name: dated_steps
select
    {keys},
    s._tidemark_batch,
    s._tidemark_batch as _tidemark_ordinal,
    case when s.is_deleted then c._tidemark_captured_at else coalesce(m._tidemark_since, c._tidemark_captured_at) end
        as _tidemark_since,
    c._tidemark_captured_at
from {steps} as s
inner join (
    select
        unnest({batches}::bigint[]) as _tidemark_batch,
        unnest({captured}::timestamp[]) as _tidemark_captured_at
) as c on s._tidemark_batch = c._tidemark_batch
left join {moments} as m on s._tidemark_batch = m._tidemark_batch and {same};

-- name: dimension_versions
select
    {last}
    + row_number() over (
        order by
            s._tidemark_batch,
            {ordered}
    ) as {surrogate},
    {fields},
    h.valid_from,
    s.is_deleted,
    s._tidemark_batch as batch_id
from {steps} as s
inner join {history} as h on s._tidemark_batch = h._tidemark_batch and {same};

-- name: fact_rows
select
    h._tidemark_ordinal as {surrogate},
    {fields},
    h.valid_from,
    h.is_deleted,
    h._tidemark_batch as batch_id,
    h._tidemark_batch
from {made} as s
inner join {history} as h on s._tidemark_batch = h._tidemark_batch and {same};

-- name: first_uneven
-- A SELECT has to give one row for each change.
select min(_tidemark_batch)
from (
    select _tidemark_batch
    from (
        select
            _tidemark_batch,
            1 as n
        from {changes}
        union all
        select
            _tidemark_batch,
            -1 as n
        from {rows}
    )
    group by _tidemark_batch
    having sum(n) <> 0
);

-- name: first_too_early
-- A reference to a row that a later batch brings waits in quarantine until then.
select min(f.batch_id)
from {rows} as f
inner join (
    select
        {key} as _tidemark_key,
        min(_tidemark_batch) as _tidemark_first
    from {steps}
    where _tidemark_is_new
    group by {key}
) as n on f.{column} = n._tidemark_key and f.batch_id < n._tidemark_first;

-- name: first_in_other_year
select min(batch_id)
from {rows}
where
    {column} is not null
    and year({column}) not in (
        select year({day})
        from {calendar}
        where {day} is not null
    );

-- name: first_with_open_key
select min(_tidemark_batch)
from {history}
semi join {open_keys} using ({keys});
