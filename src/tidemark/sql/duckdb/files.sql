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
