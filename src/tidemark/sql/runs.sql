-- name: create
create table if not exists tidemark.run (
    id uuid,
    command text not null,
    started_at timestamp with time zone not null,
    seconds double precision not null,
    exit_code integer not null,
    outcome text not null,
    message text not null,
    stages jsonb not null,
    verified jsonb,
    announced text not null,
    -- In this order, because the newest are asked for.
    primary key (started_at, id)
);

comment on table tidemark.run is 'the record of runs: what each command did, and how it ended';

-- name: exists
select to_regclass('tidemark.run') is not null;

-- name: may_create
-- Whether there is no table yet, and the ledger, beside which it is to lie, is the role's own.
select
    to_regclass('tidemark.run') is null
    and exists (
        select from pg_class as c
        where c.oid = to_regclass('tidemark.batch') and pg_has_role(c.relowner, 'usage')
    )
    and has_schema_privilege(to_regnamespace('tidemark')::oid, 'create');

-- name: keep
-- The new record takes the place of those that are too old or too many.
with outdated as (
    delete from tidemark.run
    where
        started_at < %(oldest)s
        or started_at < (
            select r.started_at
            from tidemark.run as r
            order by r.started_at desc
            limit 1 offset %(most)s
        )
)

insert into tidemark.run (
    id, command, started_at, seconds, exit_code, outcome, message, stages, verified, announced
)
values (
    %(id)s,
    %(command)s,
    %(started_at)s,
    %(seconds)s,
    %(exit_code)s,
    %(outcome)s,
    %(message)s,
    %(stages)s,
    %(verified)s,
    %(announced)s
)
on conflict (started_at, id) do nothing;

-- name: newest
select
    id::text as id,
    command,
    started_at,
    seconds,
    exit_code,
    outcome,
    message,
    stages,
    verified,
    announced
from tidemark.run
order by started_at desc
limit %(row_count)s;
