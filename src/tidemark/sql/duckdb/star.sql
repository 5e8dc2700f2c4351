-- name: first_unreadable
select {reason}
from {rows}
where {reason} is not null
limit 1;

-- name: without_unreadable
select *
from {rows}
where {reason} is null;

-- name: deleted
select *
from {rows}
where _op = 'delete';

-- name: gone
select *
from {rows} as d
where _op = 'delete' and not {is_there};

-- name: lines_of_log
select
    {fields},
    {operation} as _op
from {lines};

-- name: part
select
    * exclude (file_row_number),
    file_row_number as _position
from {rows};

-- name: judged
select
    *,
    {wrong} as _wrong,
    {missing} as _missing
from (
    select {converted}
    from {rows}
);

-- name: fitting
select {fields}
from {rows}
where _wrong is null and _missing is null;

-- name: differing
select distinct {key}
from (
    select *
    from {rows}
    except
    select *
    from {filled}
);

-- name: doubted
select
    * replace (
        coalesce(
            _wrong,
            case
                when
                    exists (
                        select 1
                        from {doubtful} as d
                        where {same}
                    )
                    then {reason}
            end
        ) as _wrong
    )
from {rows} as j;

-- name: beside
select
    p._ordinal,
    {keys_of_part},
    max({surrogate}) filter ({surrogate} < p._ordinal) as _previous,
    max(f.valid_from) filter ({surrogate} < p._ordinal) as _previous_from,
    min({surrogate}) filter ({surrogate} > p._ordinal) as _next,
    min(f.valid_from) filter ({surrogate} > p._ordinal) as _next_from
from (
    select
        {source_keys},
        p._ordinal
    from {part} as p
) as p
inner join {fact_rows} as f using ({keys})
group by all;

-- name: neighbours
select
    _ordinal,
    _previous,
    _previous_from,
    _next_from,
    0 as _reserved_before,
    0 as _reserved_after
from {beside};

-- name: neighbours_with_reserved
select
    b._ordinal,
    b._previous,
    b._previous_from,
    b._next_from,
    count(a._ordinal) filter (a._ordinal > b._previous and a._ordinal < b._ordinal) as _reserved_before,
    count(a._ordinal) filter (a._ordinal > b._ordinal and a._ordinal < b._next) as _reserved_after
from {beside} as b
left join {aside} as a on {same}
group by all;

-- name: keyed
select * replace ({keys})
from {rows};

-- name: versions
with changed as (
    select
        {source_keys},
        p._ordinal,
        p._captured_at,
        p._op = 'delete' as is_deleted,
        {stamp} as _stamp
    from {part} as p
),

capped as (
    select
        * exclude (_stamp),
        case
            when is_deleted or _stamp is null or not isfinite(_stamp) or _stamp > _captured_at then _captured_at
            else _stamp
        end as _since
    from changed
),

bounded as (
    select
        c.*,
        b._previous_from + to_microseconds(1 + b._reserved_before) as _earliest,
        b._next_from - to_microseconds(1 + b._reserved_after) as _latest
    from capped as c
    left join {beside} as b on c._ordinal = b._ordinal
),

grown as (
    select
        * exclude (_since),
        case
            when _earliest is null or _since >= _earliest then _since
            else greatest(_captured_at, _earliest)
        end as _since
    from bounded
)

select
    {keys},
    _ordinal,
    is_deleted,
    case when _latest is null or _since <= _latest then _since else _latest end as valid_from
from grown;

-- name: fact_rows
select
    h._ordinal as {surrogate},
    {fields},
    h.valid_from,
    h.is_deleted,
    {batch}::bigint as batch_id
from {made} as s
inner join {history} as h on {same};

-- name: tombstones
-- Of two deletions after one version the first ends it.
select {fields}
from {history} as h
inner join {beside} as b on h._ordinal = b._ordinal
inner join {written} as f on b._previous = {surrogate}
where not f.is_deleted
qualify row_number() over (partition by b._previous order by h._ordinal) = 1;

-- name: numbered
select
    *,
    _position + {first} as _ordinal,
    {captured_at} as _captured_at
from {rows};

-- name: in_turns
-- The first of the two numbers goes to the deletion, so that the version after it is the last.
select * replace (_ordinals[_turn] as _ordinal)
from (
    select
        *,
        row_number() over (
            partition by {keys}
            order by
                _op <> 'delete',
                _ordinal
        ) as _turn,
        list_sort(list(_ordinal) over (partition by {keys})) as _ordinals
    from {rows}
);

-- name: turn
select * exclude (_turn, _ordinals)
from {turns}
where _turn = {turn};

-- name: years
select distinct year({column}) as y
from {rows}
where {column} is not null;

-- name: not_deleted
select *
from {rows}
where _op <> 'delete';

-- name: days_of_years
select
    unnest(
        generate_series(make_date(y, 1, 1)::timestamp, make_date(y, 12, 31)::timestamp, interval 1 day)
    )::date as date_id
from (
    select unnest({years}::integer[]) as y
);

-- name: with_batch
select
    *,
    {batch}::bigint as batch_id
from {rows};

-- name: changed_rows
select
    {fields},
    {batch}::bigint as batch_id,
    case when {is_new} then 'insert' else 'update' end as _op
from {made} as s
left join (
    select *
    from {there}
    semi join {made} as n using ({keys})
) as d on {same}
where {is_new} or {differs};
