"""A session with the warehouse: one transaction for each batch, in which all tables and the ledger change together."""

import json
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Protocol

from psycopg import errors, sql
from psycopg.rows import class_row, dict_row

from tidemark.errors import ConfigError, StateError, TransientError
from tidemark.faults import effect, reach
from tidemark.model import StarTable, fitted
from tidemark.postgres.connection import connect, translated, where
from tidemark.postgres.queries import query
from tidemark.postgres.session import LOCK_TIMEOUT, Session
from tidemark.postgres.waits import holder_of_turn, naming_holders
from tidemark.warehouse.first_fill import keys_made_after
from tidemark.warehouse.marks import LEDGER, as_json, read_marks, require_fit

logger = logging.getLogger(__name__)
# So often a load that waits for another one says whom it waits for.
TURN_PERIOD = "15s"
LOCK_NOT_AVAILABLE, NO_RIGHT = "55P03", "42501"


@dataclass(frozen=True)
class LedgerRow:
    """A batch that the warehouse holds."""

    batch: int
    pipeline_id: str
    captured_at: datetime
    loaded_at: datetime
    row_counts: Mapping[str, int]


@dataclass(frozen=True)
class LedgerEntry:
    """What the ledger records of a batch; `row_counts` and `checksums` are by star table."""

    batch: int
    pipeline_id: str
    run_id: str
    captured_at: datetime
    model: str
    row_counts: Mapping[str, int]
    checksums: Mapping[str, str]

    @property
    def values(self) -> dict[str, object]:
        """Give the columns of the ledger row, apart from the marks of the tables."""
        return asdict(self) | {"row_counts": json.dumps(self.row_counts), "checksums": json.dumps(self.checksums)}


class RowStream(Protocol):
    """Rows that COPY takes, as CSV or in its binary form."""

    @property
    def is_binary(self) -> bool:
        """Say which of the two."""

    def blocks(self) -> Iterator[bytes]:
        """Yield them in blocks."""


class Warehouse:
    """An open connection to the warehouse."""

    def __init__(self, connection: Session, what: str) -> None:
        self.connection = connection
        self._what = what

    def newest(self) -> tuple[int, str | None]:
        """Give the last batch that was loaded, 0 for none, and its pipeline."""
        with translated(self._what), self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(query("warehouse", "newest_in_ledger")).fetchone()
        return (row["batch"], row["pipeline_id"]) if row else (0, None)

    def captured_at(self, first: int = 1) -> dict[int, datetime]:
        """Give the moment of each batch that was loaded, from the batch `first` on."""
        with translated(self._what):
            return dict(self.connection.execute(query("warehouse", "captured_at"), {"first": first}).fetchall())

    def ledger(self) -> list[LedgerRow]:
        """List the batches that were loaded."""
        with translated(self._what), self.connection.cursor(row_factory=class_row(LedgerRow)) as cursor:
            return cursor.execute(query("warehouse", "ledger")).fetchall()

    def require_fit(self, stars: Sequence[StarTable], lock_timeout: str = LOCK_TIMEOUT) -> None:
        """Raise StateError where tables and ledger do not belong together; waiting too long is a TransientError."""
        with translated(self._what):
            require_fit(self.connection, stars, self._what, lock_timeout)

    @staticmethod
    def emptied_by(stars: Sequence[StarTable]) -> str:
        """Write the statement that empties tables and ledger."""
        return f"truncate {', '.join([*(sql.Identifier(*star.place).as_string() for star in stars), LEDGER])}"

    @contextmanager
    def turn(self, prepare: Callable[[], object] = lambda: None) -> Iterator[int]:
        """Wait until no other load is at work, open a batch's transaction, and give the last batch that was loaded.

        What `prepare` does, such as making the tables, happens in the same transaction, before the ledger is read.
        """
        waiting = naming_holders(self.connection, self._what)
        with translated(self._what), waiting, self.connection.transaction():
            self._wait_for_turn()
            prepare()
            yield self.newest()[0]
            reach("before-warehouse-commit")
        reach("after-warehouse-commit")

    def _wait_for_turn(self) -> None:
        while True:
            try:
                with self.connection.transaction():
                    self.connection.execute(query("warehouse", "wait_a_while", period=sql.Literal(TURN_PERIOD)))
                    self.connection.execute(query("warehouse", "wait_for_turn"))
                    break
            except errors.LockNotAvailable:
                logger.warning("%s: waiting for a turn, which has %s", self._what, holder_of_turn(self.connection))
        self.connection.execute(query("warehouse", "wait_a_while", period=sql.Literal(self.connection.lock_timeout)))

    def types(self, star: StarTable) -> dict[str, str]:
        """Give the types of a table's columns by name."""
        values = {"table": sql.Identifier(*star.place).as_string()}
        return dict(self.connection.execute(query("warehouse", "types_of_columns"), values).fetchall())

    def put_dimension(self, star: StarTable, columns: Sequence[str], stream: RowStream, *, rows: int) -> int:
        """Insert or update a dimension's rows, about `rows` of them, and return how many came."""
        if self._is_empty(star):
            with keys_made_after(self.connection, star.place, rows):
                return self._copy(star.place, columns, stream)
        staging = self._stage(star, columns)
        rows = self._copy([staging], columns, stream)
        others = [name for name in columns if name not in star.key]
        parts = self._names(star, staging, columns)
        if others:
            assignments = sql.SQL(", ").join(
                sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in others
            )
            statement = query("warehouse", "upsert", assignments=assignments, **parts)
        else:
            statement = query("warehouse", "insert_missing", **parts)
        with effect("upsert"):
            self.connection.execute(statement)
        return rows

    def put_versions(
        self,
        star: StarTable,
        columns: Sequence[str],
        stream: RowStream,
        *,
        rows: int,
        has_returned: bool,
    ) -> int:
        """Insert new versions, close the versions before them, and return how many new ones came.

        Args:
            star: the table of versions.
            columns: the columns in the stream.
            stream: the rows.
            rows: about how many rows they are.
            has_returned: whether rows came back from quarantine. Then a key may have several new versions, or a new
                version may go before versions that are there.
        """
        if self._is_empty(star) and not has_returned:
            with keys_made_after(self.connection, star.place, rows):
                return self._copy(star.place, columns, stream)
        staging = self._stage(star, [*columns, "valid_to"])
        copied = self._copy([staging], columns, stream)
        matches = sql.SQL(" and ").join(
            sql.SQL("old.{0} = new.{0}").format(sql.Identifier(name)) for name in star.source_key
        )
        parts = self._names(star, staging, columns)
        tables = {name: parts[name] for name in ("table", "staging")}
        # The versions of a mirror have no numbers in the warehouse, so their places tell them apart.
        surrogate = sql.Identifier("ctid" if star.mirror else star.key[0])
        with effect("close-versions"):
            closing = query("warehouse", "close_versions", matches=matches, surrogate=surrogate, **tables)
            self.connection.execute(closing)
        if has_returned:
            keys = {
                name: sql.SQL(", ").join(sql.SQL(prefix) + sql.Identifier(key) for key in star.source_key)
                for name, prefix in (("source_key", ""), ("old_key", "old."), ("new_key", "new."))
            }
            same = sql.SQL(" and ").join(
                sql.SQL("new.{0} = followed.{0}").format(sql.Identifier(name)) for name in star.source_key
            )
            self.connection.execute(query("warehouse", "order_versions", same=same, **keys, **tables))
        insert = {name: parts[name] for name in ("table", "staging", "columns")}
        with effect("insert-versions"):
            self.connection.execute(query("warehouse", "insert_versions", **insert))
        return copied

    def record(self, entry: LedgerEntry, stars: Sequence[StarTable]) -> None:
        """Write the ledger row of a batch, with the marks that the tables have now."""
        marks = json.dumps(as_json(read_marks(self.connection, stars)))
        with effect("ledger-row"):
            self.connection.execute(query("warehouse", "record_batch"), entry.values | {"tables": marks})

    def correct(self, entry: LedgerEntry) -> None:
        """Make the ledger row of a batch what the star says of the batch now, or write it if it is missing."""
        self.connection.execute(query("rebuild", "put_ledger_right"), entry.values)

    def forget_after(self, batch: int) -> None:
        """Take the later batches out of the ledger, if it has any."""
        if self.newest()[0] > batch:
            self.connection.execute(query("rebuild", "shorten_ledger"), {"batch": batch})

    def mark(self, batch: int, stars: Sequence[StarTable]) -> None:
        """Record with a batch the marks that the tables have now."""
        marks = json.dumps(as_json(read_marks(self.connection, stars)))
        self.connection.execute(query("rebuild", "mark"), {"batch": batch, "tables": marks})

    def _is_empty(self, star: StarTable) -> bool:
        row = self.connection.execute(query("warehouse", "is_empty", table=sql.Identifier(*star.place))).fetchone()
        return bool(row and row[0])

    def _stage(self, star: StarTable, columns: Sequence[str]) -> str:
        staging = fitted(f"new_{star.name}")
        listed = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
        names = {"staging": sql.Identifier(staging), "table": sql.Identifier(*star.place)}
        self.connection.execute(query("warehouse", "create_staging", columns=listed, **names))
        return staging

    def _copy(self, table: Sequence[str], columns: Sequence[str], stream: RowStream) -> int:
        listed = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
        form = sql.SQL("binary" if stream.is_binary else "csv")
        statement = query("warehouse", "copy_in", table=sql.Identifier(*table), columns=listed, form=form)
        with self.connection.cursor() as cursor:
            with effect("copy"), cursor.copy(statement) as copy:
                for block in stream.blocks():
                    copy.write(block)
            return cursor.rowcount

    def _names(self, star: StarTable, staging: str, columns: Sequence[str]) -> dict[str, sql.Composable]:
        return {
            "table": sql.Identifier(*star.place),
            "staging": sql.Identifier(staging),
            "columns": sql.SQL(", ").join(sql.Identifier(name) for name in columns),
            "key": sql.SQL(", ").join(sql.Identifier(name) for name in star.key),
        }


@contextmanager
def connected(
    url: str, application: str, *, only_reads: bool = False, keeps_snapshot: bool = False
) -> Iterator[tuple[Session, str]]:
    """Connect to a warehouse until the block ends; give the session and the warehouse's name for messages."""
    session = connect(url, application=application, only_reads=only_reads, keeps_snapshot=keeps_snapshot)
    with closing(session):
        yield session, f"the warehouse at {where(url)}"


@contextmanager
def open_warehouse(url: str, application: str = "tidemark load", *, only_reads: bool = False) -> Iterator[Warehouse]:
    """Connect to a warehouse that has its tables; ConfigError when it has none."""
    with connected(url, application, only_reads=only_reads) as (connection, what):
        with translated(what):
            has_ledger, is_complete = (
                connection.execute(query("warehouse", name)).fetchone() == (True,)
                for name in ("ledger_exists", "ledger_is_complete")
            )
        if not is_complete:
            message = f"{what} has a ledger of an older Tidemark" if has_ledger else f"{what} has no tables yet"
            raise ConfigError(
                message, advice="run tidemark init, or give the SQL of tidemark init --dry-run to its owner"
            )
        yield Warehouse(connection, what)


def has_ledger(url: str) -> bool:
    """Say whether a warehouse has its ledger, as this Tidemark keeps it."""
    with connected(url, "tidemark load", only_reads=True) as (connection, what), translated(what):
        return connection.execute(query("warehouse", "ledger_is_complete")).fetchone() == (True,)


def ledger(url: str) -> list[LedgerRow]:
    """List the batches that a warehouse holds."""
    with open_warehouse(url, "tidemark status", only_reads=True) as warehouse:
        return warehouse.ledger()


def misfit_of(url: str, stars: Sequence[StarTable]) -> StateError | None:
    """Say why tables and ledger do not belong together, None if they do.

    A load that rewrites a table holds its lock. Nobody should wait for that only to ask, so then nothing is said. The
    same holds for a role that may read only the ledger.
    """
    with open_warehouse(url, "tidemark status") as warehouse:
        try:
            warehouse.require_fit(stars, lock_timeout="1s")
        except StateError as exc:
            return exc
        except (ConfigError, TransientError) as exc:
            if exc.facts.get("sqlstate") not in (LOCK_NOT_AVAILABLE, NO_RIGHT):
                raise
    return None
