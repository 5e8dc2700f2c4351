-- name: into_parquet
copy ({select}) to {path} (format parquet, row_group_size {rows});

-- name: into_small_parquet
copy ({select}) to {path} (format parquet, compression zstd, compression_level 1, row_group_size {rows});

-- name: into_json
copy ({select}) to {path} (format json);

-- name: into_lines
-- There is no quote and no escape, and JSON text cannot contain the delimiter, so each value is written as it is.
copy ({select}) to {path} (format csv, header false, quote '', escape '', delimiter E'\x01');

-- name: create_unescaped
-- COPY's text form escapes backslashes, line breaks, tabs and four more characters, so that no field holds one of them
-- as it is. A bare tab can therefore stand for an escaped backslash while the other escapes are resolved. Then each
-- backslash that is left is an escaped tab, and the two change places.
create macro working.unescaped(field) as
case
    when contains(field, '\') then
        replace(field, '\\', E'\t')
        .replace('\n', E'\n')
        .replace('\r', E'\r')
        .replace('\b', E'\b')
        .replace('\f', E'\f')
        .replace('\v', E'\x0B')
        .replace('\t', '\')
        .translate(E'\t\\', E'\\\t')
    else field
end;
