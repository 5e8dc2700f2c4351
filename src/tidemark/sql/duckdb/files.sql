-- name: nothing
select {fields}
where false;

-- name: all
select *
from {rows};

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
