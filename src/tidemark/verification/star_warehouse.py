"""Star = warehouse: every version of every fact and every row of every dimension, surrogate keys and `valid_to` too.

The warehouse itself compares, in the snapshot in which its ledger was read, so that a load at work does no harm. One
table at a time, the star's rows are copied into a temporary table with the types of the warehouse's columns, in the way
load copies them. Both sides are counted and summed bucket by bucket, and only the rows of buckets that differ are
compared in full. Nothing here needs DuckDB.
"""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.belonging import require_moment, require_stars
from tidemark.errors import ConfigError, DataError, StateError
from tidemark.lake.table import LakeTable, first_batch, open_as_of, open_table
from tidemark.log.columns import Column
from tidemark.log.reach import Reach
from tidemark.mirror import Mirror
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.postgres.connection import translated
from tidemark.postgres.queries import query
from tidemark.postgres.row_hash import hash_of
from tidemark.postgres.waits import AGAINST_READERS, naming_holders
from tidemark.report import Progress, Watching, foresee, quiet
from tidemark.star.copy_lines import StarRows
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import StarEntry, loaded_columns
from tidemark.verification.causes import WAREHOUSE
from tidemark.verification.result import MOST_DIFFERENCES, Difference, Edge, Loaded, Side, TableProof
from tidemark.warehouse.marks import misfit_error, misfits
from tidemark.warehouse.session import connected

BUCKETS = 1024
VALID_TO = "valid_to"
COPY = "rows of the star"
# Without this, an array of columns with several collations cannot be compared.
TEXT = '{}::text collate "C"'
Totals = Mapping[int, tuple[int, int]]


class WarehouseSnapshot:
    """What the warehouse held at one moment.

    `seen` is told how many rows and bytes of the star's table in hand were brought here so far.
    """

    seen: Callable[[int, int], None] | None = None

    def __init__(self, connection: psycopg.Connection, what: str) -> None:
        self.connection = connection
        self.what = what
        with connection.cursor(row_factory=dict_row) as cursor:
            rows = cursor.execute(query("verification", "ledger")).fetchall()
            newest = cursor.execute(query("warehouse", "newest_in_ledger")).fetchone() or {}
            self.captured_at = newest.get("captured_at")
            self.ledger = [Loaded(**row) for row in rows]
            schema = cursor.execute("select current_schema() as name").fetchone() or {}
            self.schema = str(schema.get("name"))
        self._columns: dict[str, dict[str, dict[str, Column]]] = {}

    @property
    def batch(self) -> int:
        """Give the last batch that was loaded, 0 for none."""
        return self.ledger[-1].batch if self.ledger else 0

    @property
    def reach(self) -> Reach:
        """Tell how far the warehouse is."""
        return Reach("warehouse", self.batch, self.ledger[-1].pipeline_id if self.ledger else None)

    def columns(self, star: StarTable) -> Mapping[str, Column]:
        """Give the columns of a table by name; none if there is no such table."""
        schema, name = self.place(star)
        if schema not in self._columns:
            self._columns[schema] = self._columns_of(schema)
        return self._columns[schema].get(name, {})

    def place(self, star: StarTable) -> tuple[str, str]:
        """Give a table's schema and name. A temporary table or a CTE of the name alone would come first."""
        return (star.mirror.schema if star.mirror else self.schema), star.place[-1]

    def _columns_of(self, schema: str) -> dict[str, dict[str, Column]]:
        found: dict[str, dict[str, Column]] = {}
        with self.connection.cursor(row_factory=dict_row) as cursor:
            for row in cursor.execute(query("warehouse", "columns"), {"schema": schema}):
                found.setdefault(row["table_name"], {})[row["column_name"]] = Column(row["column_name"], row["type"])
        return found

    def require_staging(self) -> None:
        """Raise ConfigError where no temporary table can be made: the role may not, or the server only reads."""
        with self.connection.cursor(row_factory=dict_row) as cursor:
            row = cursor.execute(query("verification", "what_stands_in_the_way")).fetchone() or {}
        if row.get("is_read_only"):
            message = f"{self.what} can only be read, and verify compares in a temporary table"
            advice = "if it is a standby, name its primary; else turn off the role's default_transaction_read_only"
            raise ConfigError(message, advice=advice)
        if row.get("may_not_stage"):
            message = f"{self.what} lets the role make no temporary table, and verify compares in one"
            names = [sql.Identifier(row[name]).as_string() for name in ("database", "role")]
            raise ConfigError(message, advice="grant temporary on database {} to {}".format(*names))


@contextmanager
def open_snapshot(url: str) -> Iterator[WarehouseSnapshot]:
    """Hold one snapshot of the warehouse until the block ends; ConfigError where the warehouse has no tables."""
    with (
        connected(url, "tidemark verify", keeps_snapshot=True) as (connection, what),
        translated(what),
        naming_holders(connection, what, modes=AGAINST_READERS),
        connection.transaction(force_rollback=True),
    ):
        row = connection.execute(query("warehouse", "ledger_is_complete")).fetchone()
        if row != (True,):
            message = f"{what} has no ledger, or one of an older version"
            raise ConfigError(message, advice="run tidemark init")
        yield WarehouseSnapshot(connection, what)


def verify_warehouse(model: Model, processed: Objects, warehouse_url: str, progress: Progress = quiet) -> Edge:
    """Compare the star as of the last batch that was loaded with the warehouse, for a caller that sees only these two.

    Raises:
        ConfigError: the warehouse has no tables yet, or the role may not make temporary tables.
        StateError: star and warehouse do not belong together.
        TransientError: one of them is away.
    """
    with open_snapshot(warehouse_url) as warehouse:
        edge = compared(model, processed, warehouse, progress)
    cause, advice = "the star or the warehouse was altered", "tidemark verify, which sees all places, says which"
    return replace(
        edge,
        tables=tuple(
            table if table.is_proven or table.cause else replace(table, cause=cause, advice=advice)
            for table in edge.tables
        ),
    )


def compared(model: Model, processed: Objects, warehouse: WarehouseSnapshot, progress: Progress = quiet) -> Edge:
    """Compare every table of the star with the warehouse's; a difference has no cause yet."""
    if not warehouse.batch:
        if found := misfits(warehouse.connection, list(model.stars.values())):
            raise misfit_error(found, warehouse.what)
        return Edge(WAREHOUSE, skipped="the warehouse holds no batch yet", advice="tidemark load")
    stars = StarLog(processed)
    newest = stars.newest()
    require_stars(newest, warehouse.reach, model)
    require_moment(stars, newest, warehouse.batch, warehouse.captured_at)
    warehouse.require_staging()
    proofs = []
    loaded = _as_loaded(model, stars, warehouse.batch)
    foresee(progress, f"verify {WAREHOUSE}", lambda: _rows_of(warehouse.ledger, loaded))
    for star in loaded.values():
        started = time.perf_counter()
        progress(f"verify {WAREHOUSE}", star.name, 0, 0, 0.0)
        warehouse.seen = partial(_tell, progress, star.name) if isinstance(progress, Watching) else None
        proofs.append(_prove(star, stars, warehouse))
        rows = proofs[-1].left.rows if proofs[-1].left else 0
        progress(f"verify {WAREHOUSE}", star.name, rows, 0, time.perf_counter() - started)
    return Edge(WAREHOUSE, warehouse.batch, tuple(proofs))


def _tell(progress: Progress, table: str, rows: int, size_bytes: int) -> None:
    progress(f"verify {WAREHOUSE}", table, rows, size_bytes, 0.0)


def _rows_of(ledger: Sequence[Loaded], stars: Iterable[str]) -> dict[str, int | None]:
    """Give the rows that all batches brought each table: about those that it has."""
    return {name: sum(each.row_counts.get(name, 0) for each in ledger) for name in stars}


def _as_loaded(model: Model, stars: StarLog, batch: int) -> Mapping[str, StarTable]:
    """Give the star tables; those of a mirror with the columns that they had in the batch."""
    if isinstance(model, Mirror):
        with suppress(StateError):
            return {**model.stars, **model.following(stars.manifest(batch).mirrored).stars}
    return model.stars


def _prove(star: StarTable, stars: StarLog, warehouse: WarehouseSnapshot) -> TableProof:
    """Compare one table."""
    try:
        if _comes_later(star, stars, warehouse.batch):
            return TableProof(star.name, note="not in the warehouse yet: the batch that brings it is not loaded")
        ahead = entries_ahead(stars, warehouse.batch).get(star.name)
        if ahead:
            return _prove_ahead(star, stars, warehouse, ahead)
        return _compared(star, open_as_of(stars.objects, star.path, warehouse.batch), warehouse.batch, warehouse)
    except StateError as exc:
        return TableProof(
            star.name, problem=f"cannot be read: {exc.message}", cause="the star was altered", advice=exc.advice
        )
    except DataError as exc:
        problem = f"the star holds what the warehouse cannot take: {exc.message}"
        return TableProof(star.name, problem=problem, cause="the star was altered", advice="tidemark rebuild star")


def entries_ahead(stars: StarLog, batch: int) -> Mapping[str, StarEntry]:
    """Give the entries of the dimensions that a rebuild of the star made with the values of later batches than this."""
    try:
        found = stars.manifest(batch).tables
    except StateError:
        # The edge of the records says what is wrong with the manifest.
        return {}
    return {name: entry for name, entry in found.items() if entry.through > batch}


def _prove_ahead(star: StarTable, stars: StarLog, warehouse: WarehouseSnapshot, entry: StarEntry) -> TableProof:
    """Compare a dimension of a star that was rebuilt while the warehouse lagged behind.

    The rebuilt table has the values as of a later batch. So the warehouse holds what it held before, or, after a
    rebuild of its own or the load of a batch, what the star holds now. Both are right.
    """
    proofs = []
    with suppress(StateError):
        # A compaction may have removed this state.
        proofs.append(
            _compared(star, open_as_of(stars.objects, star.path, warehouse.batch), warehouse.batch, warehouse)
        )
    if not (proofs and proofs[0].is_proven):
        lake = open_table(stars.objects, star.path, version=entry.version)
        found = _compared(star, lake, entry.through, warehouse)
        note = f"as of batch {entry.through}, which the rebuilt star holds and the next load brings"
        proofs.append(replace(found, note=note) if found.is_proven else found)
    return min(proofs, key=lambda proof: (not proof.is_proven, bool(proof.problem), proof.count))


def _compared(star: StarTable, lake: LakeTable | None, batch: int, warehouse: WarehouseSnapshot) -> TableProof:
    """Compare a table with the rows that a state of the lake's table has up to a batch."""
    known = warehouse.columns(star)
    if lake is None:
        return TableProof(star.name, problem=f"{star.path} is gone", cause="the star was removed")
    loaded = loaded_columns(star, lake.columns)
    absent = [name for name in [*loaded, *_ends(star)] if name not in known]
    if absent:
        problem = f"the warehouse's {star.name} has no column {absent}" if known else f"there is no {star.name}"
        return TableProof(
            star.name, problem=problem, cause="the warehouse was altered", advice="tidemark rebuild warehouse"
        )
    sides = _Sides(warehouse, star, [known[name] for name in loaded])
    with sides.filled(StarRows(lake, loaded, 0, batch)):
        return sides.proof()


def _comes_later(star: StarTable, stars: StarLog, batch: int) -> bool:
    """Say whether a star table is new in the model, so that it was not in the star yet as of a batch."""
    try:
        known = stars.manifest(batch).tables
    except StateError:
        # The edge of the records says what is wrong with the manifest.
        return False
    return star.name not in known and not 0 < first_batch(stars.objects, star.path) <= batch


def _ends(star: StarTable) -> list[str]:
    return [VALID_TO] if star.is_versioned else []


@dataclass(frozen=True)
class _Sides:
    """A table of the warehouse, and the star's rows as the warehouse would keep them."""

    warehouse: WarehouseSnapshot
    star: StarTable
    loaded: Sequence[Column]

    @contextmanager
    def filled(self, rows: StarRows) -> Iterator[None]:
        """Copy the star's rows into a temporary table, which is dropped when the block ends."""
        connection = self.warehouse.connection
        parts = {"copied": sql.Identifier(COPY), "columns": _names(self.loaded), "table": self._table}
        with translated(f"a temporary copy of {self.star.name}"), connection.transaction(force_rollback=True):
            connection.execute(query("verification", "create_copy", **parts))
            # From here on the server itself keeps this transaction from writing anything that stays.
            connection.execute("set transaction read only")
            copied = {"table": parts["copied"], "columns": parts["columns"]}
            copy_in = query("warehouse", "copy_in", form=sql.SQL("csv"), **copied)
            with connection.cursor().copy(copy_in) as copy:
                for block in rows.blocks():
                    copy.write(block)
                    if self.warehouse.seen:
                        self.warehouse.seen(rows.rows, rows.size_bytes)
            yield

    def proof(self) -> TableProof:
        """Compare the two."""
        mine, theirs = self._totals(self._star_rows), self._totals(self._table)
        differing = sorted(each for each in mine.keys() | theirs.keys() if mine.get(each) != theirs.get(each))
        sides = (_side(mine), _side(theirs))
        if not differing:
            return TableProof(self.star.name, *sides)
        rows = self._differences(differing)
        total = rows[0]["total"] if rows else 0
        return TableProof(self.star.name, *sides, count=total, differences=tuple(map(self._difference, rows)))

    def _totals(self, rows: sql.Composable) -> Totals:
        hashed = hash_of(_base_types(self._columns), self.star.version_key, sql.SQL(""))
        statement = query("verification", "totals", bucket=self._bucket, hash=hashed, rows=rows)
        found = self.warehouse.connection.execute(statement).fetchall()
        return {bucket: (count, int(hashes)) for bucket, count, hashes in found}

    def _differences(self, buckets: list[int]) -> list[dict[str, Any]]:
        key = [sql.Identifier(name) for name in self.star.version_key]
        statement = query(
            "verification",
            "differences",
            key=_list(key),
            key_texts=_list(sql.SQL(TEXT).format(name) for name in key),
            texts=_list(sql.SQL(TEXT).format(sql.Identifier(column.name)) for column in self._columns),
            star=self._star_rows,
            warehouse=self._table,
            bucket=self._bucket,
            buckets=_list(map(sql.Literal, buckets)),
            order=_list(sql.SQL("coalesce(s.{0}, w.{0})").format(name) for name in key),
            most=sql.Literal(MOST_DIFFERENCES),
        )
        with self.warehouse.connection.cursor(row_factory=dict_row) as cursor:
            return cursor.execute(statement).fetchall()

    def _difference(self, row: Mapping[str, Any]) -> Difference:
        key = dict(zip(self.star.version_key, row["key"], strict=True))
        values = zip(self._columns, row["star"] or (), row["warehouse"] or (), strict=False)
        differing = {column.name: (mine, theirs) for column, mine, theirs in values if mine != theirs}
        return Difference(row["kind"], key, differing)

    @property
    def _columns(self) -> list[Column]:
        known = self.warehouse.columns(self.star)
        return [*self.loaded, *(known[name] for name in _ends(self.star))]

    @property
    def _table(self) -> sql.Composable:
        # The name has its schema, because a temporary table or a CTE of the same name would come first without it.
        return sql.Identifier(*self.warehouse.place(self.star))

    @property
    def _star_rows(self) -> sql.Composable:
        """Write the FROM item of the star's rows; versions have `valid_to` as well."""
        copied = sql.Identifier(COPY)
        if not self.star.is_versioned:
            return copied
        key, ends = _list(map(sql.Identifier, self.star.source_key)), sql.Identifier(VALID_TO)
        versions = query("verification", "versions", columns=_names(self.loaded), key=key, ends=ends, copied=copied)
        return sql.SQL("({}) as versions").format(versions)

    @property
    def _bucket(self) -> sql.Composable:
        """Write the bucket of a row; all versions of one source row share it, so that each finds the next one there."""
        known, key = self.warehouse.columns(self.star), self.star.row_key
        hashed = hash_of(_base_types(known[name] for name in key), key, sql.SQL(""))
        return sql.SQL("({} & {})").format(hashed, sql.Literal(BUCKETS - 1))


def _base_types(columns: Iterable[Column]) -> dict[str, str]:
    return {column.name: column.base_type for column in columns}


def _names(columns: Iterable[Column]) -> sql.Composed:
    return _list(sql.Identifier(column.name) for column in columns)


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)


def _side(totals: Totals) -> Side:
    hashes = sum(hashes for _, hashes in totals.values())
    return Side(sum(rows for rows, _ in totals.values()), f"{hashes % 2**64:016x}")
