"""A model of a few tables made up for one test, and what ingest makes of them.

Rows are compared as text: `source` gives what Postgres prints, `latest` what Tidemark kept.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

import psycopg
from psycopg import sql

from tests.support.pipeline import clock
from tidemark.ingest import Ingest
from tidemark.lake.engine import open_engine
from tidemark.lake.sqltext import Select
from tidemark.log.changelog import ChangeLog, Manifest
from tidemark.log.latest import open_latest
from tidemark.log.pointer import open_pointer
from tidemark.model import Model
from tidemark.model_reader import load_model
from tidemark.objects import open_objects

# How a poll reads text; the tests print the same.
AS_POLLS_READ = "-c timezone=UTC -c datestyle=ISO -c intervalstyle=postgres -c bytea_output=hex -c extra_float_digits=1"
# By the type's own output function; a cast to text prints some types in another way.
AS_PRINTED = "case when {0} is distinct from null then format('%s', {0}) end"
UNUSED_STAR = """
[star.dim_nothing]
kind = "dimension"
key = ["nothing_id"]
reads = [{table}]
"""

Row = dict[str, str | None]


def write_model(folder: Path, toml: str, files: dict[str, str] | None = None) -> Model:
    """Write a model's directory; without `files` it has a star table that nothing makes."""
    folder.mkdir()
    written = {"warehouse.sql": "create table dim_nothing (nothing_id integer primary key);", **(files or {})}
    if files is None:
        table = toml.partition("[source.")[2].partition("]")[0]
        name = table if table.startswith(("'", '"')) else f'"{table}"'
        toml += UNUSED_STAR.format(table=name)
        written["dimension/nothing.sql"] = "select 1 as nothing_id"
    for path, content in {"model.toml": toml, **written}.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content)
    return load_model(str(folder))


class SmallSource:
    """A source database, and a lake in `folder` that its polls fill.

    Args:
        folder: an empty directory.
        url: the source, as the owner of its tables.
        model: the TOML of its `[source.<table>]` sections, or a model.
        reads_as: the address that the polls use, if another role does them.
        lag: the margin below the watermark; none, so that a test's moments need not lie far apart.
    """

    def __init__(
        self,
        folder: Path,
        url: str,
        model: str | Model,
        *,
        reads_as: str | None = None,
        lag: timedelta = timedelta(0),
    ) -> None:
        self.model = model if isinstance(model, Model) else write_model(folder / "model", model)
        self.objects = open_objects(str(folder / "ingestion"))
        self.pointer = open_pointer(str(folder / "pointer.json"))
        self.reads_as = reads_as or url
        self._url = url
        self._lag = lag

    def execute(self, *statements: str) -> None:
        """Run SQL in the source, each statement in a transaction of its own."""
        with self.connect() as connection:
            for statement in statements:
                connection.execute(statement.encode())

    @contextmanager
    def connect(self, *, autocommit: bool = True) -> Iterator[psycopg.Connection]:
        """Open a session that prints as polls do."""
        with psycopg.connect(self._url, autocommit=autocommit, options=AS_POLLS_READ) as connection:
            yield connection

    def ingest(self) -> Manifest | None:
        """Poll once, and give the batch's manifest, or None when nothing had changed."""
        report = Ingest(self.model, self.reads_as, self.objects, self.pointer, self._lag, clock).run()
        return ChangeLog(self.objects).manifest(report.batches[0]) if report.batches else None

    def counts(self, table: str) -> tuple[int, int, int]:
        """Poll once, and give how many rows of a table were inserted, updated and deleted."""
        manifest = self.ingest()
        if manifest is None:
            return (0, 0, 0)
        entry = manifest.tables[table]
        return (entry.inserted, entry.updated, entry.deleted)

    def changes(self, batch: int, table: str) -> list[dict[str, object]]:
        """Read the lines of one table in a batch of the log."""
        entry = ChangeLog(self.objects).manifest(batch).tables[table]
        return [json.loads(line) for each in entry.objects for line in self.objects.get(each.key).splitlines()]

    def latest(self, table: str) -> list[Row]:
        """Read a table of latest, every value as text."""
        manifest = ChangeLog(self.objects).newest()
        assert manifest is not None
        columns = manifest.tables[table].columns
        names = [column.name for column in columns]
        with open_engine([self.objects]) as engine:
            latest = open_latest(self.objects, self.model.sources[table], columns)
            rows = engine.execute(Select(f"select * exclude (_hash) from {latest.rows}"))
            found = [dict(zip(names, map(_text, row), strict=True)) for row in rows.fetchall()]
        return _in_order(found, self.model.sources[table].key)

    def source(self, table: str) -> list[Row]:
        """Read a table of the source, every value as Postgres's text."""
        known = self.model.sources[table]
        with self.connect() as connection:
            cursor = connection.execute(
                sql.SQL("select * from {} limit 0").format(sql.Identifier(known.schema, known.relation))
            )
            names = [column.name for column in cursor.description or ()]
            texts = sql.SQL(", ").join(sql.SQL(AS_PRINTED).format(sql.Identifier(name)) for name in names)
            rows = connection.execute(
                sql.SQL("select {} from {}").format(texts, sql.Identifier(known.schema, known.relation)),
            ).fetchall()
        return _in_order([dict(zip(names, row, strict=True)) for row in rows], known.key)


def _text(value: object) -> str | None:
    if isinstance(value, bool):
        return "t" if value else "f"
    return None if value is None else str(value)


def _in_order(rows: list[Row], key: Sequence[str]) -> list[Row]:
    return sorted(rows, key=lambda row: [row[name] or "" for name in key])
