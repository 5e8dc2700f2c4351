-- name: keys_of_several_rows
select {key}
from {rows}
group by all
having count(*) > 1
limit 1;

-- name: calendar
-- The day of the week counts from the Monday 0001-01-01.
select
    date_id,
    cast(extract(year from date_id) as integer) as year,
    cast(extract(quarter from date_id) as integer) as quarter,
    cast(extract(month from date_id) as integer) as month,
    strftime(date_id, '%B') as month_name,
    cast(extract(day from date_id) as integer) as day,
    cast(date_diff('day', cast('0001-01-01' as date), date_id) % 7 + 1 as integer) as day_of_week,
    strftime(date_id, '%A') as day_name
from calendar;

-- name: other_keys
-- How many keys there are of which one engine made more rows than the other.
select count(*)
from (
    (
        select {keys}
        from {mine}
        except all
        select {keys}
        from {theirs}
    )
    union all
    (
        select {keys}
        from {theirs}
        except all
        select {keys}
        from {mine}
    )
);

-- name: other_value
select
    {one}::varchar as mine,
    {other}::varchar as theirs
from {mine} as m
inner join {theirs} as t on {same}
where {differs}
order by {keys}
limit 1;
