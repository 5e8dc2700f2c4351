-- name: one_row
select {fields};

-- name: one_day
select date '2000-01-01' as date_id;
