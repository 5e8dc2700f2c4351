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
    {fields},
    {operation} as _op,
    file_row_number as _tidemark_position
from {rows};

-- name: judged
select
    *,
    {wrong} as _tidemark_wrong,
    {missing} as _tidemark_missing
from (
    select {converted}
    from {rows}
);

-- name: fitting
select {fields}
from {rows}
where _tidemark_wrong is null and _tidemark_missing is null;

-- name: refused_keys
select {keys}
from {rows}
where _tidemark_wrong is not null;

-- name: dangling
select distinct
    {name} as reference,
    {column}::varchar as key
from {rows} as f
anti join (
    select key
    from {keys} as k (key)
    where {within}
) as d on {column} = d.key
where {column} is not null;

-- name: dangling_keys
select key
from {gaps}
where reference = {reference};

-- name: waiting
select * replace ({missing} as _tidemark_missing)
from {rows};

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
            _tidemark_wrong,
            case
                when
                    exists (
                        select 1
                        from {doubtful} as d
                        where {same}
                    )
                    then {reason}
            end
        ) as _tidemark_wrong
    )
from {rows} as j;

-- name: beside
select
    p._tidemark_ordinal,
    {keys_of_part},
    max({surrogate}) filter ({surrogate} < p._tidemark_ordinal) as _tidemark_previous,
    max(f.valid_from) filter ({surrogate} < p._tidemark_ordinal) as _tidemark_previous_from,
    min({surrogate}) filter ({surrogate} > p._tidemark_ordinal) as _tidemark_next,
    min(f.valid_from) filter ({surrogate} > p._tidemark_ordinal) as _tidemark_next_from
from (
    select
        {source_keys},
        p._tidemark_ordinal
    from {part} as p
) as p
inner join {fact_rows} as f using ({keys})
group by all;

-- name: neighbours
select
    _tidemark_ordinal,
    _tidemark_previous,
    _tidemark_previous_from,
    _tidemark_next_from,
    0 as _tidemark_reserved_before,
    0 as _tidemark_reserved_after
from {beside};

-- name: neighbours_with_reserved
select
    b._tidemark_ordinal,
    b._tidemark_previous,
    b._tidemark_previous_from,
    b._tidemark_next_from,
    count(a._tidemark_ordinal) filter (
        a._tidemark_ordinal > b._tidemark_previous and a._tidemark_ordinal < b._tidemark_ordinal
    ) as _tidemark_reserved_before,
    count(a._tidemark_ordinal) filter (
        a._tidemark_ordinal > b._tidemark_ordinal and a._tidemark_ordinal < b._tidemark_next
    ) as _tidemark_reserved_after
from {beside} as b
left join {aside} as a on {same}
group by all;

-- name: keyed
select * replace ({keys})
from {rows};

-- name: dated
with changed as (
    select
        {source_keys},
        {fields},
        p._op = 'delete' as is_deleted,
        {stamp} as _tidemark_stamp
    from {part} as p
)

select
    * exclude (_tidemark_stamp),
    case
        when
            is_deleted
            or _tidemark_stamp is null
            or not isfinite(_tidemark_stamp)
            or _tidemark_stamp > _tidemark_captured_at
            then _tidemark_captured_at
        else _tidemark_stamp
    end as _tidemark_since
from changed;

-- name: versions
with bounded as (
    select
        c.*,
        b._tidemark_previous_from + to_microseconds(1 + b._tidemark_reserved_before) as _tidemark_earliest,
        b._tidemark_next_from - to_microseconds(1 + b._tidemark_reserved_after) as _tidemark_latest
    from {dated} as c
    left join {beside} as b on c._tidemark_ordinal = b._tidemark_ordinal
),

grown as (
    select
        * exclude (_tidemark_since),
        case
            when _tidemark_earliest is null or _tidemark_since >= _tidemark_earliest then _tidemark_since
            else greatest(_tidemark_captured_at, _tidemark_earliest)
        end as _tidemark_since
    from bounded
)

select
    {keys},
    _tidemark_ordinal,
    is_deleted,
    case
        when _tidemark_latest is null or _tidemark_since <= _tidemark_latest then _tidemark_since
        else _tidemark_latest
    end as valid_from
from grown;

-- name: fact_rows
select
    h._tidemark_ordinal as {surrogate},
    {fields},
    h.valid_from,
    h.is_deleted,
    {batch}::bigint as batch_id
from {made} as s
inner join {history} as h on {same};

-- name: first_mirrored
select
    p._tidemark_ordinal as {surrogate},
    {fields},
    p._tidemark_captured_at as valid_from,
    p._op = 'delete' as is_deleted,
    {batch}::bigint as batch_id
from {part} as p;

-- name: mirrored
select
    p._tidemark_ordinal as {surrogate},
    {fields},
    h.valid_from,
    h.is_deleted,
    {batch}::bigint as batch_id
from {part} as p
inner join {history} as h on p._tidemark_ordinal = h._tidemark_ordinal;

-- name: tombstones
-- Of two deletions after one version the first ends it.
select {fields}
from {history} as h
inner join {beside} as b on h._tidemark_ordinal = b._tidemark_ordinal
inner join {written} as f on b._tidemark_previous = {surrogate}
where not f.is_deleted
qualify row_number() over (partition by b._tidemark_previous order by h._tidemark_ordinal) = 1;

-- name: numbered
select
    *,
    _tidemark_position + {first} as _tidemark_ordinal,
    {captured_at} as _tidemark_captured_at
from {rows};

-- name: span
select *
from {rows}
where _tidemark_position >= {first} and _tidemark_position < {beyond};

-- name: in_turns
-- The first of the two numbers goes to the deletion, so that the version after it is the last.
select * replace (_tidemark_ordinals[_tidemark_turn] as _tidemark_ordinal)
from (
    select
        *,
        row_number() over (
            partition by {keys}
            order by
                _op <> 'delete',
                _tidemark_ordinal
        ) as _tidemark_turn,
        list_sort(list(_tidemark_ordinal) over (partition by {keys})) as _tidemark_ordinals
    from {rows}
);

-- name: turn
select * exclude (_tidemark_turn, _tidemark_ordinals)
from {turns}
where _tidemark_turn = {turn};

-- name: surrogates
select {surrogate} as _tidemark_ordinal
from {written}
union all
select ordinal
from {aside}
where ordinal >= {first};

-- name: is_each_once
select
    (
        select sum(hash(_tidemark_ordinal))
        from {rows}
    )
    = (
        select sum(hash(range))
        from range({first}, {beyond})
    );

-- name: years
select distinct y
from (
    select unnest([{years}]) as y
    from {rows}
)
where y is not null;

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

-- name: repeated
select {key}
from {rows}
group by {keys}
having count(*) > 1
limit 1;

-- name: note_keys
insert into {seen}
select distinct {keys}
from {rows};

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

-- name: newest_versions
select *
from {rows}
qualify
    row_number() over (
        partition by {keys}
        order by {surrogate} desc
    ) = 1;

-- name: last_surrogate
select coalesce(max({surrogate}), 0)
from {rows};

-- name: steps
-- The rows that are new, have other values, are back, or are gone; a row that is gone has its last known values. A row
-- that is refused is not gone.
select
    {mine},
    false as is_deleted,
    {is_new} as _tidemark_is_new
from {made} as s
left join {there} as d on {same}
where {is_new} or d.is_deleted or {differs}
union all
select
    {theirs},
    true as is_deleted,
    false as _tidemark_is_new
from {there} as d
anti join {made} as s on {same}
anti join {refused} as r on {same_refused}
where not d.is_deleted;

-- name: moments
-- When the rows that a batch changed and left there say that they changed.
select
    {keys},
    max(_tidemark_since) as _tidemark_since
from {dated}
where not is_deleted
group by {keys};

-- name: dimension_versions
-- The snapshot of a replay is that of the poll before, so a version may follow another one of the same moment.
with dated as (
    select
        s.*,
        d.valid_from + interval 1 microsecond as _tidemark_earliest,
        case when s.is_deleted then {captured_at} else coalesce(m._tidemark_since, {captured_at}) end as _tidemark_since
    from {steps} as s
    left join {there} as d on {same_there}
    left join {moments} as m on {same_moment}
)

select
    {last} + row_number() over (order by {keys}) as {surrogate},
    {fields},
    case
        when _tidemark_earliest is null or _tidemark_since >= _tidemark_earliest then _tidemark_since
        else greatest({captured_at}, _tidemark_earliest)
    end as valid_from,
    is_deleted,
    {batch}::bigint as batch_id
from dated;

-- name: marked_rows
select
    {fields},
    is_deleted,
    {batch}::bigint as batch_id,
    case when _tidemark_is_new then 'insert' else 'update' end as _op
from {steps};

-- name: tree
select json_serialize_sql({text});
