-- name: into_parquet
copy ({select}) to {path} (format parquet, row_group_size {rows});

-- name: into_small_parquet
copy ({select}) to {path} (format parquet, compression zstd);

-- name: into_json
copy ({select}) to {path} (format json);

-- name: into_lines
-- There is no quote and no escape, and JSON text cannot contain the delimiter, so each value is written as it is.
copy ({select}) to {path} (format csv, header false, quote '', escape '', delimiter E'\x01');
