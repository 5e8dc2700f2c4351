"""What a role could write in a database that it should only read.

Tidemark's own transactions in a source only read, whatever the role may do. This is about every other session of the
role: its rights, and the default of its transactions.
"""

from contextlib import closing
from typing import Any

from psycopg import errors
from psycopg.rows import dict_row

from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import query
from tidemark.postgres.session import Session

# Since this version, large objects cannot be written in a transaction that only reads.
REFUSES_LARGE_OBJECTS = 160000
NO_LARGE_OBJECTS = (
    "if nobody else writes large objects, as a superuser: "
    "revoke execute on function lo_creat(integer), lo_create(oid), lo_from_bytea(oid, bytea) from public"
)


def possible_writes(url: str, role: str, application: str) -> tuple[list[str], str]:
    """Say what a session of the role could write that begins its transactions as role and database say; and remedies.

    Where nothing should be possible, a write is tried, and rolled back. One that is refused leaves nothing in the
    server's log (WAL). One that is not could leave 90 kB there, so none is tried that is known to be possible.

    Args:
        url: the database.
        role: the session's role, as SQL names it.
        application: what others see in pg_stat_activity.
    """
    session = connect(url, application=application)
    session.read_only = None
    with closing(session), translated(f"the source at {where(url)}"):
        with session.transaction(), session.cursor(row_factory=dict_row) as cursor:
            row: dict[str, Any] = cursor.execute(query("doctor", "writes")).fetchone() or {}
        found, remedies = [], []
        if not row["is_read_only"]:
            kinds = {"make tables": row["tables"], "make temporary tables": row["temporary_tables"]}
            found = [what for what, may in kinds.items() if may]
            remedies = [f"alter role {role} set default_transaction_read_only = on"]
        is_old = session.info.server_version < REFUSES_LARGE_OBJECTS
        if row["large_objects"] and (is_old or not row["is_read_only"]):
            found.append("write large objects")
            remedies += [NO_LARGE_OBJECTS] if is_old else []
        if not found and not _is_refused(session):
            found = ["write in a transaction that should only read"]
    return found, "; ".join(remedies)


def _is_refused(session: Session) -> bool:
    try:
        with session.transaction(force_rollback=True):
            session.execute(query("doctor", "write"))
    except (errors.ReadOnlySqlTransaction, errors.InsufficientPrivilege):
        return True
    return False
