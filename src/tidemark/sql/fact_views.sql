-- name: history_key
-- It finds one key's history and its state at a moment. A key cannot start two versions at one moment.
create unique index {index} on {fact} ({source_key}, valid_from);

-- name: current_key
-- A key has at most one current version. Once history has grown, this index is small compared with the table.
create unique index {index} on {fact} ({source_key}) where valid_to is null;

-- name: current
-- The live rows as they stand now.
create or replace view {view} as
select *
from {fact}
where valid_to is null and not is_deleted;

-- name: comment_on_current
comment on view {view} is {text};

-- name: as_of
-- The rows as they stood at a moment, in UTC. The function is not strict and has no settings of its own, so that the
-- planner inlines its body and a condition on the key reaches the index. The body is a string with `*`, so that a
-- column that is added later appears. It has the moment as $1: a column of the fact named `at` would come first.
create or replace function {function}(at timestamp) returns setof {fact}
language sql stable
as $as_of$
    select *
    from {fact}
    where valid_from <= $1 and (valid_to > $1 or valid_to is null) and not is_deleted
$as_of$;

-- name: comment_on_as_of
comment on function {function}(timestamp) is {text};
