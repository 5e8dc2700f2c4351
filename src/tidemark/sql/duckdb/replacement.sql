-- name: rows_beyond
select count(*)
from (
    select {fields}
    from {rows}
    except all
    select {fields}
    from {others}
);

-- name: carrying
select m.* replace ({carried})
from {made} as m
left join {present} as p on {same}
order by {keys};
