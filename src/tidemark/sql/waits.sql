-- name: holders_of_tables
-- Who holds or awaits a lock of these modes on a table, those who hold one first. A session that awaits one stands in
-- the way of all that come after it, and itself waits for others.
select
    l.relation::regclass::text as locked,
    l.granted,
    l.pid,
    a.application_name,
    coalesce(a.xact_start, p.prepared) as since,
    a.query as statement,
    p.gid,
    pg_blocking_pids(l.pid) as waits_for
from pg_locks as l
inner join pg_class as c on l.relation = c.oid
left join pg_stat_activity as a on l.pid = a.pid
-- A prepared transaction has no session; it is known by the lock on its own number.
left join pg_locks as x
    on
        l.pid is null and x.pid is null and l.virtualtransaction = x.virtualtransaction
        and x.locktype = 'transactionid' and x.granted
left join pg_prepared_xacts as p on x.transactionid = p.transaction
where
    l.locktype = 'relation'
    and l.database = (
        select d.oid from pg_database as d
        where d.datname = current_database()
    )
    and l.pid is distinct from pg_backend_pid()
    and l.mode = any(%(modes)s)
    and (
        l.relation = any(select to_regclass(reference)::oid from unnest(%(tables)s::text[]) as wanted (reference))
        or (%(tables)s::text[] is null and c.relnamespace = to_regnamespace(quote_ident(current_schema())))
        or (%(tables)s::text[] is null and c.relnamespace = to_regnamespace('tidemark'))
    )
order by not l.granted, since;

-- name: sessions
select
    a.pid,
    a.application_name,
    a.xact_start as since,
    a.query as statement,
    null as gid
from pg_stat_activity as a
where a.pid = any(%(pids)s)
order by since;

-- name: holder_of_turn
select
    a.pid,
    a.application_name,
    a.xact_start as since,
    a.query as statement,
    null as gid
from pg_locks as l
inner join pg_stat_activity as a on l.pid = a.pid
where
    l.locktype = 'advisory'
    and l.granted
    and l.classid = (hashtext('tidemark load')::bigint & 4294967295)::oid
    and l.objid = (hashtext(current_schema())::bigint & 4294967295)::oid
    and l.objsubid = 2
    and l.database = (
        select d.oid from pg_database as d
        where d.datname = current_database()
    );

-- name: own_transaction
-- Behind a pooler the session's own pid is another one than libpq knows.
select
    pid,
    virtualtransaction as transaction_name
from pg_locks
where pid = pg_backend_pid() and locktype = 'virtualxid' and granted;

-- name: waiter
-- Who has waited longest, and long enough, for a lock of a transaction that only reads. Such a transaction shuts out
-- AccessExclusiveLock alone: whoever waits for another mode waits for somebody else. ShareLock on its own number is
-- awaited by who needs all older snapshots gone, such as CREATE INDEX CONCURRENTLY. Autovacuum waits for neither. There
-- is no pg_blocking_pids in it, since that stops every other use of the locks for a moment.
with locks as materialized (
    select
        locktype,
        database,
        relation,
        virtualxid,
        pid,
        virtualtransaction,
        mode,
        granted,
        waitstart
    from pg_locks
    where locktype in ('relation', 'virtualxid')
),

held as (
    select
        locktype,
        database,
        relation,
        virtualxid
    from locks
    where
        granted
        and (pid, virtualtransaction) in (
            select
                own.pid,
                own.transaction_name
            from unnest(%(pids)s::integer[], %(transaction_names)s::text[]) as own (pid, transaction_name)
        )
),

waiting as (
    select
        w.pid,
        w.mode,
        w.relation::regclass::text as locked,
        w.waitstart as since,
        a.application_name,
        a.usename as role,
        a.query as statement,
        null as gid,
        pg_is_in_recovery() and a.usename is null as is_replay
    from held as h
    inner join locks as w
        on
            h.locktype = w.locktype
            and ((h.database = w.database and h.relation = w.relation) or h.virtualxid = w.virtualxid)
    left join pg_stat_activity as a on w.pid = a.pid
    where
        not w.granted
        and (w.mode = 'AccessExclusiveLock' or w.locktype = 'virtualxid')
        and w.waitstart <= clock_timestamp() - make_interval(secs => %(seconds)s)
    order by w.waitstart
    limit 1
)

select
    seen.is_seen,
    w.*
from (select exists(select from held) as is_seen) as seen
left join waiting as w on seen.is_seen;

-- name: end_transactions
select coalesce(bool_or(pg_terminate_backend(l.pid)), false) as is_ended
from pg_locks as l
inner join unnest(%(pids)s::integer[], %(transaction_names)s::text[]) as own (pid, transaction_name)
    on l.pid = own.pid and l.virtualtransaction = own.transaction_name
where l.locktype = 'virtualxid' and l.granted;
