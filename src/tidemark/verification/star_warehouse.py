"""Star = warehouse: every version of every fact and every row of every dimension, surrogate keys and `valid_to` too.

The warehouse is read in one snapshot together with its ledger, so that a load at work does no harm. Its rows come as
text and take the types of its own columns; the lake's are cast to the same.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.contract import Column
from tidemark.engine import Engine
from tidemark.errors import ConfigError
from tidemark.lake import LakeTable, open_as_of
from tidemark.model import StarTable
from tidemark.objects import Objects
from tidemark.postgres import TEXT_FORM, connect, translated, where
from tidemark.processed import loaded_columns
from tidemark.queries import query
from tidemark.sqltext import names, quoted
from tidemark.verification.matching import compare, differences, stage, stage_lines
from tidemark.verification.result import Difference, TableProof

SESSION = (
    *TEXT_FORM,
    "set local statement_timeout to 0",
    "set local idle_in_transaction_session_timeout to 0",
)
VALID_TO = "valid_to"


@dataclass(frozen=True)
class Loaded:
    """A ledger row: the batch that was loaded, with the rows and checksums that it says it brought."""

    batch: int
    pipeline_id: str
    row_counts: Mapping[str, int]
    checksums: Mapping[str, str]


class WarehouseSnapshot:
    """What the warehouse held at one moment."""

    def __init__(self, connection: psycopg.Connection) -> None:
        self._connection = connection
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("verification", "ledger")).fetchall()
            self.ledger = [Loaded(**row) for row in rows]
            schema = cursor.execute("select current_schema() as name").fetchone() or {}
            columns = cursor.execute(query("warehouse", "columns"), {"schema": schema.get("name")}).fetchall()
        self._types: dict[str, dict[str, str]] = {}
        for row in columns:
            column = Column(row["column_name"], row["type"])
            typed = "TIME" if column.base_type == "time without time zone" else column.typed
            self._types.setdefault(row["table_name"], {})[column.name] = typed

    @property
    def batch(self) -> int:
        """Give the last batch that was loaded, 0 for none."""
        return self.ledger[-1].batch if self.ledger else 0

    def types(self, table: str) -> dict[str, str]:
        """Give the columns of a table with the DuckDB types in which they are compared; none if there is no table."""
        return self._types.get(table, {})

    def rows(self, table: str, columns: list[str]) -> Iterator[bytes]:
        """Stream a table's rows as CSV."""
        listed = sql.SQL(", ").join(sql.Identifier(name) for name in columns)
        statement = query("verification", "rows", columns=listed, table=sql.Identifier(table))
        with self._connection.cursor() as cursor, cursor.copy(statement) as copy:
            yield from copy  # type: ignore[misc]


@contextmanager
def open_snapshot(url: str) -> Iterator[WarehouseSnapshot]:
    """Hold one snapshot of the warehouse until the block ends; ConfigError where it has no tables."""
    connection = connect(url, application="tidemark verify")
    what = f"the warehouse at {where(url)}"
    try:
        with translated(what):
            connection.execute("begin isolation level repeatable read, read only")
            for statement in SESSION:
                connection.execute(statement)
            row = connection.execute(query("warehouse", "ledger_is_complete")).fetchone()
            if row != (True,):
                message = f"{what} has no ledger, or one of an older version"
                raise ConfigError(message, advice="run tidemark init")
            yield WarehouseSnapshot(connection)
    finally:
        connection.close()


@dataclass(frozen=True)
class WarehouseEdge:
    """The star as of the last batch that was loaded, and the warehouse."""

    engine: Engine
    processed: Objects
    warehouse: WarehouseSnapshot

    def prove(self, star: StarTable) -> TableProof:
        """Compare one table of the star."""
        lake = open_as_of(self.processed, star.path, self.warehouse.batch)
        if lake is None:
            return TableProof(star.name, problem=f"{star.path} is gone", cause="the star was removed")
        types = self.warehouse.types(star.name)
        columns = [*loaded_columns(star, lake.columns), *([VALID_TO] if star.kind == "fact" else [])]
        absent = [name for name in columns if name not in types]
        if absent:
            problem = f"the warehouse's {star.name} has no column {absent}" if types else f"there is no {star.name}"
            return TableProof(star.name, problem=problem, cause="the warehouse was altered", advice="tidemark init")
        wanted = {name: types[name] for name in columns}
        fields = ", ".join(f"try_cast({quoted(name)} as {kind}) as {quoted(name)}" for name, kind in wanted.items())
        mine = stage(self.engine, f"select {fields} from {self._star(star, lake)}")
        # Tried and not cast: a value that no longer fits is a difference, no failure.
        lines = self.warehouse.rows(star.name, columns)
        theirs = stage_lines(self.engine, lines, dict.fromkeys(columns, "VARCHAR"), fields)
        match = compare(self.engine, mine, theirs, columns, star.key)
        found: tuple[Difference, ...] = differences(self.engine) if match.differs else ()
        count = int(str(self.engine.value("select count(*) from found"))) if match.differs else 0
        return TableProof(star.name, match.left, match.right, count=count, differences=found)

    def _star(self, star: StarTable, lake: LakeTable) -> str:
        rows = f"{lake.rows()} where batch_id <= {self.warehouse.batch}"
        if star.kind != "fact":
            return rows
        over = f"partition by {names(star.source_key)} order by valid_from"
        return f"(select *, lead(valid_from) over ({over}) as {quoted(VALID_TO)} from {rows})"
