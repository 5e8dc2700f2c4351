-- name: ledger
select
    batch,
    pipeline_id::text as pipeline_id,
    row_counts,
    coalesce(checksums, '{{}}'::jsonb) as checksums
from tidemark.batch
order by batch;

-- name: rows
copy (select {columns} from {table}) to stdout (format csv);
