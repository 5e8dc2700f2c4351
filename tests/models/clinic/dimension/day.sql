select
    date_id as day_id,
    cast(extract(year from date_id) as integer) as year,
    date_diff('day', cast('0001-01-01' as date), date_id) % 7 >= 5 as is_weekend
from calendar
