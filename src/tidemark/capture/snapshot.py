"""The snapshot: what every table held at one moment, streamed in blocks of lines, each a row with its hash."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import pairwise
from typing import TypeVar

from psycopg import errors, sql
from psycopg.rows import class_row, dict_row

from tidemark.capture.key_ranges import Extent, inner_bounds
from tidemark.capture.kinds import MATERIALIZED, obstacle
from tidemark.capture.readers import Readers
from tidemark.capture.relation import chosen_columns, faults_of_choice, identifier, relation
from tidemark.capture.sweep import Bucketing, Sum, Sums
from tidemark.capture.watermark import Span
from tidemark.disclosure import told
from tidemark.errors import ConfigError, contract_error
from tidemark.log.columns import Column, base_of
from tidemark.log.latest import has_integer_key
from tidemark.model import SourceTable
from tidemark.postgres.queries import query
from tidemark.postgres.row_hash import hash_of
from tidemark.postgres.session import Session

Row = TypeVar("Row")
# The types of keys that go to the server as arrays. All others go as texts: there are no arrays of arrays, and `unnest`
# takes a composite apart. For the last of these types a cast from text is not what reads a value: it takes the first
# letter for a "char", and knows no regclass `-`.
PLAIN = {
    *("smallint", "integer", "bigint", "numeric", "real", "double precision", "boolean", "oid", "uuid", "bytea"),
    *("text", "character varying", "character", "bpchar", "name"),
    *("date", "timestamp without time zone", "timestamp with time zone"),
    *('"char"', "regclass", "regtype", "regproc", "regprocedure", "regoper", "regoperator", "regrole", "regnamespace"),
    *("regconfig", "regdictionary", "regcollation"),
}
# A relation's kind, and whether it holds rows that can be read.
Kind = tuple[str, bool]
KEYS_PER_REQUEST = 10_000
EVERY_ROW = sql.SQL("true")


class Snapshot:
    """What every table held at one moment; every method reads in the same transaction.

    `readers` read ranges of about `range_bytes` of a table. `name` is `pg_current_snapshot()`, `captured_at` the
    source's clock just after it was taken.
    """

    def __init__(  # noqa: PLR0913, PLR0917 -- what a moment of the source is made of
        self,
        connection: Session,
        readers: Readers,
        range_bytes: int,
        tables: Sequence[SourceTable],
        name: str,
        captured_at: datetime,
        kinds: Mapping[str, Kind],
    ) -> None:
        self._connection, self._readers, self._range_bytes = connection, readers, range_bytes
        self._kinds = kinds
        self.name = name
        self.captured_at = captured_at
        named = places(tables)
        self._whole: dict[str, list[Column]] = {table.name: [] for table in tables}
        with connection.cursor(row_factory=dict_row) as cursor:
            for row in cursor.execute(query("source", "columns"), named):
                self._whole[row["name"]].append(Column(row["column_name"], row["type"], row["nullable"]))
            rows = cursor.execute(query("source", "unique_keys"), named).fetchall()
        self._unique = {(row["name"], frozenset(row["columns"])) for row in rows}
        self._columns = {table.name: chosen_columns(table, self._whole[table.name]) for table in tables}
        self._faults: dict[str, list[str]] = {}

    def columns(self, table: SourceTable) -> tuple[Column, ...]:
        """Give the columns of the table that leave the source, in its own order."""
        return self._columns[table.name]

    def faults_of_choice(self, table: SourceTable) -> list[str]:
        """Say, in one sentence each, why the source cannot leave out or mask what the model says."""
        if table.name not in self._faults:
            self._faults[table.name] = faults_of_choice(self._connection, table, self._whole[table.name])
        return self._faults[table.name]

    def has_unique_key(self, table: SourceTable) -> bool:
        """Say whether a valid unique index covers exactly the key's columns and none of them may be null.

        A materialised view cannot say that its columns are not null, so its rows are asked.
        """
        if (table.name, frozenset(table.key)) not in self._unique:
            return False
        if self._kinds[table.name][0] != MATERIALIZED:
            return not any(column.nullable for column in self.columns(table) if column.name in table.key)
        condition = sql.SQL(" or ").join(sql.SQL("{} is null").format(sql.Identifier(name)) for name in table.key)
        statement = query("source", "has_null_in_key", table=self._relation(table), condition=condition)
        return self._connection.execute(statement).fetchone() == (False,)

    def obstacle(self, table: SourceTable) -> str:
        """Say why the relation of this name cannot be a source table; empty where it can, or where there is none."""
        kind, is_populated = self._kinds.get(table.name, ("r", True))
        return obstacle(table.name, kind, is_populated=is_populated)

    def estimated_rows(self, tables: Sequence[SourceTable]) -> dict[str, int | None]:
        """Give about how many rows each of these tables has, as the planner sees it; None where it does not know."""
        found: dict[str, float] = dict(
            self._connection.execute(query("source", "estimates"), places(tables)).fetchall()
        )
        # A table that was never counted has -1, in PostgreSQL before 14 it has 0.
        return {table.name: round(found[table.name]) if found.get(table.name, 0) > 0 else None for table in tables}

    def rows(self, table: SourceTable) -> Iterator[bytes]:
        """Stream all rows in the order of their key, each a line of all columns and the row's hash."""
        parts = self._parts(table)
        cut = self._cut(table)
        return self._copy(table, *(query("source", "rows", key=_list(table.key), within=each, **parts) for each in cut))

    def sample(self, table: SourceTable, rows: int) -> Iterator[bytes]:
        """Stream some rows, whichever the server finds first, each a line as those of `rows`."""
        return self._copy(table, query("source", "sample", rows=sql.Literal(rows), **self._parts(table)))

    def rows_since(self, table: SourceTable, since: datetime) -> Iterator[bytes]:
        """Stream the rows whose `updated` column is at or after `since` (naive where the column is)."""
        updated = next(column for column in self.columns(table) if column.name == table.updated)
        # The cast is to the type without its precision: timestamp(3) would round the bound up, past rows.
        bound = sql.SQL("{}::{}").format(sql.Literal(since), sql.SQL(updated.base_type))
        parts = self._parts(table)
        return self._copy(
            table,
            query("source", "rows_since", updated=sql.Identifier(updated.name), since=bound, **parts),
        )

    def rows_within(self, table: SourceTable, spans: Sequence[Span]) -> Iterator[bytes]:
        """Stream the rows that have one of their times within its span."""
        ranges = sql.SQL(" or ").join(
            sql.SQL("{0} >= {1}::{3} and {0} < {2}::{3}").format(
                sql.Identifier(span.column), sql.Literal(span.first), sql.Literal(span.end), sql.SQL(span.type)
            )
            for span in spans
        )
        parts = self._parts(table)
        # An index on a column of time may give the rows quickly, so the table is not cut into more than that.
        cut = self._cut(table, for_each_reader=True)
        return self._copy(table, *(query("source", "rows_within", ranges=ranges, within=each, **parts) for each in cut))

    def rows_of_keys(self, table: SourceTable, keys: Iterable[Sequence[str]]) -> Iterator[bytes]:
        """Stream the rows that have these keys, each a sequence of the key columns' texts."""
        parts = self._parts(table, "t")
        for wanted in self._wanted(table, keys):
            yield from self._copy(table, query("source", "rows_of_keys", **wanted, **parts))

    def keys_seen_by(self, table: SourceTable, keys: Iterable[Sequence[str]], snapshot: str) -> Iterator[bytes]:
        """Stream those keys that have a row, each with whether an earlier snapshot saw this version of the row.

        A version that a subtransaction wrote while the snapshot was taken counts as seen, because Postgres lists only
        whole transactions in a snapshot. A table that keeps no row versions, such as a view, yields nothing.
        """
        keeps = query("source", "keeps_versions", table=sql.Literal(identifier(table).as_string()))
        if self._connection.execute(keeps).fetchone() != (True,):
            return
        key = sql.SQL(", ").join(sql.SQL("t.{}").format(sql.Identifier(name)) for name in table.key)
        known = {"key": key, "table": self._relation(table, "xmin"), "snapshot": sql.Literal(snapshot)}
        for wanted in self._wanted(table, keys):
            yield from self._copy(table, query("source", "keys_seen_by", **wanted, **known))

    def key_range(self, table: SourceTable) -> tuple[int, int] | None:
        """Give the lowest and highest key of a table whose key is one integer; None when it has no rows."""
        statement = query("source", "key_range", key=sql.Identifier(table.key[0]), table=self._relation(table))
        low, high = self._connection.execute(statement).fetchone() or (None, None)
        return None if low is None else (low, high)

    def sums(self, table: SourceTable, bucketing: Bucketing) -> Sums:
        """Count the rows and add up their hashes in each bucket, in the server."""
        parts = self._parts(table)
        bucket = self._bucket(table, bucketing, parts["hash"])
        known = {"bucket": bucket, "hash": parts["hash"], "table": parts["table"]}
        cut = self._cut(table, for_each_reader=True)
        sums = Sums(bucketing, {})
        for rows in self._readers.answers([query("source", "sums", within=each, **known) for each in cut]):
            sums = sums.plus({bucket: Sum(count, int(hashes)) for bucket, count, hashes in rows})
        return sums

    def hashes_in_buckets(self, table: SourceTable, bucketing: Bucketing, buckets: Sequence[int]) -> Iterator[bytes]:
        """Stream key and hash of the rows in these buckets, by one scan."""
        bucket = self._bucket(table, bucketing, self._parts(table)["hash"])
        return self._hashes("hashes_in_buckets", table, bucket=bucket, buckets=_bigints(buckets))

    def hashes_in_ranges(self, table: SourceTable, ranges: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Stream key and hash of the rows in these ranges of the one integer key (ends included), by its index."""
        lows, highs = map(_bigints, zip(*ranges, strict=True))
        return self._hashes("hashes_in_ranges", table, lows=lows, highs=highs)

    def hashes_of_texts(self, table: SourceTable, rows: Iterable[Sequence[str | None]]) -> Iterator[bytes]:
        """Stream the key and hash of rows, each given as the texts of all columns in the table's order.

        A row is left out if a text is no value of its column's type.
        """
        columns = self.columns(table)
        names = [f"c{position}" for position in range(len(columns))]
        fields = sql.SQL(", ").join(
            sql.SQL("{}::{} as {}").format(sql.Identifier(name), sql.SQL(column.type), sql.Identifier(column.name))
            for name, column in zip(names, columns, strict=True)
        )
        known = {"names": _list(names), "fields": fields, "key": _list(table.key), "hash": self._parts(table)["hash"]}
        for batch in _batched(rows, KEYS_PER_REQUEST):
            yield from self._hashed(table, batch, known)

    def _hashes(self, name: str, table: SourceTable, **where: sql.Composable) -> Iterator[bytes]:
        parts = self._parts(table)
        return self._copy(
            table, query("source", name, key=_list(table.key), hash=parts["hash"], table=parts["table"], **where)
        )

    def _hashed(
        self, table: SourceTable, rows: list[Sequence[str | None]], parts: Mapping[str, sql.Composable]
    ) -> list[bytes]:
        texts = sql.SQL(", ").join(
            sql.SQL("{}::text[]").format(sql.Literal(list(column))) for column in zip(*rows, strict=True)
        )
        try:
            with self._connection.transaction():
                return list(self._copy(table, query("source", "hashes_of_texts", texts=texts, **parts)))
        except errors.DataError:
            middle = len(rows) // 2
            return (
                self._hashed(table, rows[:middle], parts) + self._hashed(table, rows[middle:], parts) if middle else []
            )

    def _wanted(self, table: SourceTable, keys: Iterable[Sequence[str]]) -> Iterator[dict[str, sql.Composable]]:
        types = {column.name: column.type for column in self.columns(table)}
        kinds = [types[column] for column in table.key]
        names = [f"k{position}" for position in range(len(table.key))]
        matches = sql.SQL(" and ").join(
            sql.SQL("t.{} = {}").format(sql.Identifier(column), _read(sql.Identifier("wanted", name), kind))
            for column, name, kind in zip(table.key, names, kinds, strict=True)
        )
        for batch in _batched(keys, KEYS_PER_REQUEST):
            arrays = sql.SQL(", ").join(
                sql.SQL("{}::{}[]").format(sql.Literal(list(texts)), sql.SQL(kind if _is_plain(kind) else "text"))
                for kind, texts in zip(kinds, zip(*batch, strict=True), strict=True)
            )
            yield {"keys": arrays, "names": _list(names), "matches": matches}

    def _bucket(self, table: SourceTable, bucketing: Bucketing, hash_of_row: sql.Composable) -> sql.Composable:
        if bucketing.by_key:
            return sql.SQL("{}::bigint >> {}").format(sql.Identifier(table.key[0]), sql.Literal(bucketing.shift))
        return sql.SQL("{} & {}::bigint").format(hash_of_row, sql.Literal(bucketing.mask))

    def _cut(self, table: SourceTable, *, for_each_reader: bool = False) -> list[sql.Composable]:
        """Give the conditions of ranges of the key, in its order, that several sessions may read; at most one for each.

        It is one condition, which holds for every row, where there is only one reader, or the table is small, has
        another key than one integer, or lies in another order.
        """
        if self._readers.workers == 1 or not has_integer_key(table, self.columns(table)):
            return [EVERY_ROW]
        extent = self._extent(table)
        pieces = extent.size_bytes // self._range_bytes
        if for_each_reader:
            pieces = min(pieces, self._readers.workers)
        span = self.key_range(table) if pieces > 1 and extent.is_in_order else None
        bounds = inner_bounds(*span, pieces) if span else []
        if not bounds:
            return [EVERY_ROW]
        key = sql.Identifier("t", table.key[0])
        first, last = sql.SQL("{} < {}").format(key, bounds[0]), sql.SQL("{} >= {}").format(key, bounds[-1])
        between = sql.SQL("{0} >= {1} and {0} < {2}")
        return [first, *(between.format(key, low, high) for low, high in pairwise(bounds)), last]

    def _extent(self, table: SourceTable) -> Extent:
        statement = query(
            "source",
            "extent",
            table=sql.Literal(identifier(table).as_string()),
            is_alone=sql.Literal(table.is_alone),
            key=sql.Literal(table.key[0]),
        )
        with self._connection.cursor(row_factory=class_row(Extent)) as cursor:
            return cursor.execute(statement).fetchone() or Extent(0, 0)

    def _parts(self, table: SourceTable, alias: str = "") -> dict[str, sql.Composable]:
        columns = self.columns(table)
        wanted = columns if table.sweep == "rows" else [c for c in columns if c.name in (*table.key, table.updated)]
        prefix = sql.SQL("t.") if alias else sql.SQL("")
        return {
            "table": self._relation(table),
            "columns": sql.SQL(", ").join(prefix + sql.Identifier(column.name) for column in columns),
            "hash": hash_of({column.name: column.base_type for column in wanted}, table.key, prefix),
        }

    def _relation(self, table: SourceTable, *others: str) -> sql.Composable:
        faults = self.faults_of_choice(table)
        if faults:
            raise contract_error(faults)
        return relation(table, self.columns(table), *others)

    def _copy(self, table: SourceTable, *statements: sql.Composed) -> Iterator[bytes]:
        try:
            yield from self._readers.streamed(statements)
        except (errors.CharacterNotInRepertoire, errors.UntranslatableCharacter) as exc:
            encoding = self._connection.info.parameter_status("server_encoding")
            message = (
                f"source table {table.name!r} holds what is no text in UTF8 (the database has {encoding}): {told(exc)}"
            )
            advice = "correct these rows in the source, or restore it into a database with the encoding that they have"
            raise ConfigError(message, advice=advice, table=table.name) from exc


def _is_plain(kind: str) -> bool:
    return base_of(kind) in PLAIN


def _read(value: sql.Composable, kind: str) -> sql.Composable:
    """Read a value of a type that is not plain out of its text."""
    return value if _is_plain(kind) else value + sql.SQL(f"::{kind}")


def places(tables: Iterable[SourceTable]) -> dict[str, list[str]]:
    """Give the parameters of the statements that ask the catalogue about tables."""
    wanted = list(tables)
    return {
        "names": [table.name for table in wanted],
        "schemas": [table.schema for table in wanted],
        "tables": [table.relation for table in wanted],
    }


def _list(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _bigints(numbers: Iterable[int]) -> sql.Composed:
    return sql.SQL("{}::bigint[]").format(sql.Literal(list(numbers)))


def _batched(rows: Iterable[Row], size: int) -> Iterator[list[Row]]:
    batch: list[Row] = []
    for row in rows:
        batch.append(row)
        if len(batch) == size:
            yield batch
            batch = []
    if batch:
        yield batch
