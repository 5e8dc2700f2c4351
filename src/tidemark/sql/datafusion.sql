-- name: lines_of_star
-- concat() treats a null as an empty text, and Postgres reads an empty field without quotes as null.
select {fields}
from (
    select
        line,
        batch,
        digest(line, {hash}) as digest
    from (
        select
            concat({values}, chr(10)) as line,
            coalesce(batch_id, 0) as batch
        from star
        where {where}
    ) as lines
) as digested;

-- name: binary_rows_of_star
-- A field of a row is never null here: concat() would leave it out.
select
    concat({values}) as line,
    {condition} as is_plain
from star;
