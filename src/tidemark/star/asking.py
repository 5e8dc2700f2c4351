"""A person's own query on the lake: one SELECT over the star's tables and those of latest, by the engine.

The star's tables have the names that they have in the warehouse, and latest's lie in the schema `latest`. All are as of
the newest manifest, so what a run is about to write is not seen. The engine reaches the files of the two buckets alone,
and a SELECT writes none. It gives each value as its own text.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from tidemark.answers import Answer, AnswerColumn, Position, Row, encoded, refused, require_one, without_parameters
from tidemark.disclosure import HOW_TO_SEE, are_values_shown, is_of_rows, told
from tidemark.errors import ConfigError, StateError
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.engine_errors import is_of_broken_file
from tidemark.lake.sqltext import Rows, names, select
from tidemark.lake.table import open_as_of
from tidemark.log.changelog import ChangeLog, Manifest
from tidemark.log.latest import HASH, state_as_of
from tidemark.model import Model, SourceTable, StarTable
from tidemark.objects import Objects
from tidemark.star.star_log import StarLog

if TYPE_CHECKING:
    import duckdb

LATEST = "latest"
CHUNK_ROWS = 1_000
WHAT = "the lake"
ONLY_SELECTS = "only what reads is run here: select, from, values, describe, summarize or show"
ALL_TABLES = '`tidemark sql --lake "show all tables"`'
# A part of a name as DuckDB writes it, and where it says that a mistake is. A line that is too long begins with dots.
PART = re.compile(r'"((?:[^"]|"")*)"|([^."]+)')
# A function that reads files, or a file's name in the place of a table's. It decides which advice an error has.
NAMES_FILES = re.compile(r"\b(read_\w+|\w+_scan|parquet_\w+)\s*\(|\b(from|join)\s+'", re.IGNORECASE)
PLACE = re.compile(r"\n\nLINE (\d+): (?!\.\.\.)[^\n]*\n( *)\^")

# A table's name, in lower case where names are compared, and what opens it: None if it has no rows yet.
Name = tuple[str, ...]
Opened = Callable[[], Rows | None]


@dataclass(frozen=True)
class _Table:
    place: Name
    open: Opened


@contextmanager
def ask_lake(model: Model, ingestion: Objects, processed: Objects, statement: str) -> Iterator[Answer]:
    """Run a SELECT of DuckDB's.

    Raises:
        ConfigError: the engine refuses the statement, or it is no single SELECT.
        StateError: a table of the lake is damaged.
    """
    encoded(statement)
    tables: dict[Name, list[_Table]] = {}
    for table in (*_stars(model, processed), *_latest(model, ingestion)):
        tables.setdefault(tuple(part.lower() for part in table.place), []).append(table)
    with _of_named_files(statement), open_engine([ingestion, processed]) as engine:
        with _refused(statement):
            _require_select(engine, statement)
            wanted = _wanted(engine, statement, tables)
        for table in wanted:
            _make_readable(engine, table)
        with _refused(statement):
            asked = _bound(engine, statement)
        columns = tuple(map(AnswerColumn, asked.columns, map(str, asked.types)))
        with _refused(None):
            yield Answer(columns, _rows(engine, asked))


@contextmanager
def _of_named_files(statement: str) -> Iterator[None]:
    """Say of a statement that names files itself that it is those which cannot be read: no table needs to be mended."""
    try:
        yield
    except StateError as exc:
        # An error of the engine's is the cause; one about a table that was opened by its name has none of these.
        if not (isinstance(exc.__cause__, _engine_error()) and NAMES_FILES.search(statement)):
            raise
        message = f"{WHAT} has no such files, or they do not fit together: {told(exc.__cause__)}"
        advice = (
            "name a table instead of files, such as fact_sales_order, or files of one table alone; if that table cannot"
            " be read by its name either, it is damaged"
        )
        raise ConfigError(message, advice=advice) from exc


def _engine_error() -> type[Exception]:
    import duckdb  # noqa: PLC0415 -- loaded with the engine

    return duckdb.Error


def _stars(model: Model, processed: Objects) -> list[_Table]:
    newest = StarLog(processed).newest()
    if newest is None:
        return []
    known = [star for star in model.stars.values() if star.name in newest.tables]
    return [_Table(star.place, partial(_star_rows, processed, star, newest.batch)) for star in known]


def _star_rows(processed: Objects, star: StarTable, batch: int) -> Rows | None:
    lake = open_as_of(processed, star.path, batch)
    return None if lake is None else lake.rows()


def _latest(model: Model, ingestion: Objects) -> list[_Table]:
    head = ChangeLog(ingestion).newest()
    if head is None:
        return []
    known = [source for name, source in model.sources.items() if name in head.tables]
    return [_Table((LATEST, each.name), partial(_latest_rows, ingestion, each, head)) for each in known]


def _latest_rows(ingestion: Objects, source: SourceTable, head: Manifest) -> Rows | None:
    state = state_as_of(ingestion, source, head.batch, head.tables[source.name])
    if state is None:
        return None
    columns = names(name for name in state.lake.columns if name != HASH)
    return select("files", "fields", fields=columns, rows=state.rows).rows


def _require_select(engine: Engine, statement: str) -> None:
    import duckdb  # noqa: PLC0415 -- loaded with the engine

    found = engine.connection.extract_statements(statement)
    require_one(WHAT, len(found))
    if found[0].type != duckdb.StatementType.SELECT:
        raise refused(WHAT, "it is no SELECT", position=None, advice=ONLY_SELECTS)
    without_parameters(WHAT, len(found[0].named_parameters))


def _wanted(engine: Engine, statement: str, tables: Mapping[Name, Sequence[_Table]]) -> list[_Table]:
    """Give the tables that a SELECT reads, so that no other is opened: all of them, if it reads anything else.

    Raises:
        ConfigError: the engine cannot tell one of them from another, because it does not mind upper and lower case.
    """
    import duckdb  # noqa: PLC0415 -- as above

    try:
        found = engine.connection.get_table_names(statement, qualified=True)
    except duckdb.BinderException:
        # So it is with a USING: the columns of tables that are not there yet are unknown.
        found = set()
    named = {
        tuple((quoted.replace('""', '"') or plain).lower() for quoted, plain in PART.findall(name)) for name in found
    }
    if not named or not named <= tables.keys():
        return [same[0] for same in tables.values() if len(same) == 1]
    if twice := [".".join(table.place) for name in sorted(named) for table in tables[name] if len(tables[name]) > 1]:
        message = f"DuckDB does not tell upper from lower case, and so not {' from '.join(twice)}"
        raise ConfigError(message, advice="ask the warehouse, which does, without --lake")
    return [tables[name][0] for name in sorted(named)]


def _make_readable(engine: Engine, table: _Table) -> None:
    rows = table.open()
    if rows is not None:
        engine.readable(table.place, rows)


def _bound(engine: Engine, statement: str) -> "duckdb.DuckDBPyRelation":
    """Have the engine look up what the SELECT names, without running it."""
    import duckdb  # noqa: PLC0415 -- as above

    try:
        return engine.connection.query(statement)
    except (duckdb.BinderException, duckdb.CatalogException):
        # The same error, but it says where.
        engine.connection.execute(statement)
        raise


def _rows(engine: Engine, asked: "duckdb.DuckDBPyRelation") -> Iterator[Row]:
    """Give the rows with each value as the engine's text of it; columns are counted, since two may have one name."""
    import duckdb  # noqa: PLC0415 -- as above

    texts = [duckdb.SQLExpression(f"#{at}").cast("VARCHAR").alias(str(at)) for at, _ in enumerate(asked.columns, 1)]
    running = engine.connection.execute(asked.select(*texts).sql_query())
    while chunk := running.fetchmany(CHUNK_ROWS):
        yield from chunk


@contextmanager
def _refused(statement: str | None) -> Iterator[None]:
    """Turn an error of the statement into a ConfigError in the engine's words; without it no place is given."""
    import duckdb  # noqa: PLC0415 -- as above

    try:
        yield
    except (duckdb.OutOfMemoryException, duckdb.IOException, duckdb.InterruptException):
        # The engine itself says what they mean.
        raise
    except duckdb.PermissionException as exc:
        message = f"{WHAT} is all that can be read here: {told(exc)}"
        raise ConfigError(message, advice="name the star's tables, or those of latest as latest.<table>") from exc
    except duckdb.Error as exc:
        if is_of_broken_file(exc):
            raise
        found = PLACE.search(str(exc)) if statement is not None else None
        # The line begins behind the words that name it.
        position = Position(int(found[1]), len(found[2]) - len(f"LINE {found[1]}: ") + 1) if found else None
        raise refused(WHAT, told(exc), position=position, advice=_advice(exc)) from exc


def _advice(exc: "duckdb.Error") -> str:
    import duckdb  # noqa: PLC0415 -- as above

    if is_of_rows(exc):
        return "" if are_values_shown() else HOW_TO_SEE
    # DuckDB's second line names what is like the name that it does not know.
    hint = str(exc).partition("\n\nLINE ")[0].partition("\n")[2].strip()
    if isinstance(exc, duckdb.CatalogException):
        return "; ".join(filter(None, [" ".join(hint.split()), f"{ALL_TABLES} names the tables"]))
    return " ".join(hint.split())
