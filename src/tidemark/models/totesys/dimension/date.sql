-- The day of the week counts from the Monday 0001-01-01: isodow changes its meaning on the way to Spark.
with days as (
    select
        date_id,
        cast(extract(year from date_id) as integer) as year,
        cast(extract(month from date_id) as integer) as month,
        cast(extract(day from date_id) as integer) as day,
        cast(date_diff('day', cast('0001-01-01' as date), date_id) % 7 + 1 as integer) as day_of_week,
        strftime(date_id, '%A') as day_name,
        strftime(date_id, '%B') as month_name,
        cast(extract(quarter from date_id) as integer) as quarter
    from calendar
)

select
    date_id,
    year,
    month,
    day,
    day_of_week,
    day_name,
    month_name,
    quarter
from days
