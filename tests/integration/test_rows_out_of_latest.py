"""Transform reads a table's first rows out of latest's data file, where that is sure to hold what the log holds."""

from collections.abc import Iterator

import pytest

from tests.acceptance.test_any_value import PAIRS, VALUES
from tests.support.postgres import Postgres
from tests.support.small_source import SmallSource
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.sqltext import Select
from tidemark.lake.wide_rows import PIECE_COLUMNS
from tidemark.log.changelog import ChangeLog, TableEntry
from tidemark.star.sources import Part, part_of_latest, part_of_log

WIDE = PIECE_COLUMNS + 1
TABLES = f"""
{VALUES}
create table "Odd ""names" ("the key" text primary key, "a ""b" text, "select" boolean, filename text, "hash é" bigint);
insert into "Odd ""names" values ('b', '', null, '', 1), ('a', null, false, 'x', null), ('', 'null', true, '0', -1);
create table wide (wide_id integer primary key, {", ".join(f"c{number} text" for number in range(WIDE))});
insert into wide select n, n::text, null, '' from generate_series(1, 3000) as n;
create table placed (placed_id integer primary key, "File_Row_Number" text);
insert into placed values (1, 'x');
create table harmed (harmed_id integer primary key);
insert into harmed values (1);
"""
MODEL = """
[source.held]
key = ["held_id"]
[source.'Odd "names']
key = ["the key"]
[source.wide]
key = ["wide_id"]
[source.placed]
key = ["placed_id"]
[source.harmed]
key = ["harmed_id"]
"""


@pytest.fixture(scope="module")
def source(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SmallSource]:
    """A source of all types, odd names and wide rows, with its baseline."""
    name = postgres.create()
    small = SmallSource(tmp_path_factory.mktemp("rows"), postgres.url(name), MODEL)
    small.execute(TABLES)
    for number, (column, one, other) in enumerate(PAIRS):
        small.execute(f"insert into held (held_id, {column}) values ({number}, {one}), ({-number - 1}, {other})")
    small.ingest()
    yield small
    postgres.drop(name)


def parts(
    engine: Engine, source: SmallSource, table: str, batch: int = 1
) -> Iterator[tuple[TableEntry, Part, Part | None]]:
    """Give each object of a table in both ways."""
    log = ChangeLog(source.objects)
    entry = log.manifest(batch).tables[table]
    for each in entry.objects:
        yield entry, part_of_log(engine, log, each, entry, batch), part_of_latest(engine, log, each, entry)


def test_rows_of_any_type_and_name_are_the_same_out_of_latest_and_out_of_the_log(source: SmallSource) -> None:
    with open_engine([source.objects]) as engine:
        for table in ("held", 'Odd "names', "wide"):
            for entry, log, latest in parts(engine, source, table):
                assert latest is not None
                query = {
                    each: Select(f"select * from {each.rows} order by _tidemark_position") for each in (log, latest)
                }
                assert engine.describe(query[log]) == engine.describe(query[latest])
                rows = engine.execute(query[latest]).fetchall()
                assert len(rows) == entry.rows
                assert rows == engine.execute(query[log]).fetchall()


def test_a_column_with_the_engines_name_for_a_place_is_read_out_of_the_log(source: SmallSource) -> None:
    with open_engine([source.objects]) as engine:
        [(_, _, latest)] = parts(engine, source, "placed")
        assert latest is None


def test_a_data_file_that_is_not_as_it_was_written_is_not_read(source: SmallSource) -> None:
    stored = ChangeLog(source.objects).manifest(1).tables["harmed"].objects[0].latest_file
    assert stored is not None
    path = source.objects.local_path(stored.key)
    assert path is not None
    with open_engine([source.objects]) as engine:
        [(_, _, whole)] = parts(engine, source, "harmed")
        assert whole is not None
        # What lies in a directory is no scratch file.
        assert whole.scratch != path

        path.write_bytes(path.read_bytes()[:-1])
        [(_, _, shortened)] = parts(engine, source, "harmed")
        assert shortened is None

        path.unlink()
        [(_, _, gone)] = parts(engine, source, "harmed")
        assert gone is None
