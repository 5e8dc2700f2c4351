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
