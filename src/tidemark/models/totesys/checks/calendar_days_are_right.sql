-- Every column of dim_date follows from its date.
select
    date_id,
    year,
    month,
    day,
    day_of_week,
    day_name,
    month_name,
    quarter
from dim_date
where
    (year, month, day) <> (extract(year from date_id), extract(month from date_id), extract(day from date_id))
    or day_of_week <> extract(isodow from date_id)
    or day_name <> to_char(date_id, 'FMDay')
    or month_name <> to_char(date_id, 'FMMonth')
    or quarter <> extract(quarter from date_id)
order by date_id
