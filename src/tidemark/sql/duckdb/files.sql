-- name: nothing
select {fields}
where false;

-- name: all
select *
from {rows};

-- name: ordered
select *
from {rows}
order by {keys};

-- name: span
select {fields}
from {rows}
where {where}
order by file_row_number;

-- name: one
select 1
from {rows}
where {where};

-- name: with_keys_of
select *
from {rows}
semi join {others} using ({keys});

-- name: fields
select {fields}
from {rows};

-- name: data_files
select {fields}
from (
    from {files}
    union all by name
    from {nothing}
);

-- name: create_wall_clock
-- No zone of a session matters here: a moment is a number of microseconds. Infinity has no such number.
create macro working.wall_clock(moment) as
case when isfinite(moment) then make_timestamp(epoch_us(moment)) else cast(moment as timestamp) end;

-- name: create_utc_moment
create macro working.utc_moment(wall_clock) as
case
    when isfinite(wall_clock) then make_timestamptz(epoch_us(wall_clock))
    else cast(wall_clock as timestamptz)
end;
