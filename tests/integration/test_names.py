"""A source may use any name for a column, even one that Tidemark's own SQL uses, or it is told which it may not use."""

import re
from collections.abc import Callable
from importlib import resources
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import Rig, as_text
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tests.support.small_source import write_model
from tidemark.capture.source import open_source
from tidemark.log.columns import is_reserved
from tidemark.model import SourceTable
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.replay import Replay
from tidemark.star.star_sql import HISTORY

SQL = resources.files("tidemark") / "sql"
# The statements of these files read catalogs, or are about totesys alone.
NO_USERS_COLUMNS = {"demo.sql", "doctor.sql", "limits.sql", "roles.sql"}
# PostgreSQL itself has them in every table.
OF_POSTGRES = {"xmin", "xmax", "cmin", "cmax", "ctid", "tableoid"}
# DuckDB adds the first two on request, JSON's null is no text, and the rest is only strange.
OTHERS = {"filename", "file_row_number", "Über", 'a "quoted" one', "a'b", "{braces}", "100%", "a.b", "at"}
# Each of them is an alias in some statement, or a column that Tidemark gives a name to.
KEY = (
    *("a", "b", "c", "d", "e", "f", "h", "j", "k", "l", "m", "n", "o", "p", "q", "r", "s", "t", "v", "w", "y"),
    *("key", "row", "table", "surrogate", "ordinal", "missing", "shown", "bucket", "current_versions"),
)
# These are read as dates or judged by their length, so that rows are unreadable and set aside.
DATE, SHORT = "reason", "waits"
MODEL = f"""
[source.history]
key = {list(KEY)}
updated = "stamp"

[source.wanted]
key = ["low"]

[star.dim_wanted]
kind = "dimension"
key = ["low"]
reads = ["wanted"]

[star.dim_known]
kind = "dimension"
key = {list(KEY)}
reads = ["history", "wanted"]

[star.fact_history]
kind = "fact"
key = ["its surrogate"]
driving = "history"
source_key = {list(KEY)}
reads = ["history"]
[star.fact_history.references]
high = "dim_wanted"
"""


def words() -> list[str]:
    """Give every name of a column, a table or an alias in a statement, without those that the tables below have."""
    files = [path for folder in (SQL, SQL / "duckdb") for path in folder.iterdir() if path.name.endswith(".sql")]
    files = [path for path in files if path.name not in NO_USERS_COLUMNS]
    code = re.sub("--.*", "", "".join(path.read_text("utf-8") for path in files))
    named = re.findall(r"\b(?:as|with|join|from) ([a-z_]\w*)|([a-z_]\w*)(?:\.| as \()", code)
    found = {*(word for pair in named for word in pair if word), *OTHERS}
    return sorted(
        word
        for word in found - {*OF_POSTGRES, *KEY, "low", "high", "stamp"}
        if not (is_reserved(word) or word.startswith("pg_"))
    )


def in_star(found: list[str]) -> list[str]:
    """Leave out what only Tidemark may call a column of the star."""
    return [word for word in found if word not in (*HISTORY, "valid_to")]


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def listed(names: list[str] | tuple[str, ...]) -> str:
    return ", ".join(map(quoted, names))


@pytest.fixture
def rig(new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path) -> Rig:
    key, found = listed(KEY), words()
    free = in_star(found)
    types = {DATE: "date", SHORT: "varchar(3)"}
    stars = ", ".join(f"{quoted(word)} {types.get(word, 'text')}" for word in free)
    keys = ", ".join(f"{quoted(name)} integer" for name in KEY)
    model = write_model(
        tmp_path / "words",
        MODEL,
        {
            "warehouse.sql": f"""
                create table dim_wanted (low integer primary key, {stars});
                create table dim_known ({keys}, {quoted(SHORT)} varchar(3), primary key ({key}));
                create table fact_history (
                    "its surrogate" bigint primary key, {keys}, {stars}, high integer references dim_wanted,
                    valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null,
                    valid_to timestamp
                );
            """,
            "fact/history.sql": f"select {key}, {listed(free)}, high from history",
            "dimension/wanted.sql": f"select low, {listed(free)} from wanted",
            "dimension/known.sql": f"""
                select {", ".join("one." + quoted(name) for name in KEY)}, other.{quoted(SHORT)}
                from history as one left join wanted as other on one.high = other.low
            """,
        },
    )

    def build(url: str) -> None:
        columns = ", ".join(f"{quoted(word)} {'date' if word == DATE else 'text'}" for word in found)
        with psycopg.connect(url) as connection:
            connection.execute(
                f"create table history ({keys}, {columns}, high integer,"
                f" stamp timestamp default current_timestamp, primary key ({key}));"
                f" create table wanted (low bigint primary key, {columns})".encode()
            )

    return new_rig(postgres.template("words", build), model=str(model.directory))


def test_every_word_of_tidemarks_own_sql_may_be_the_name_of_a_column(rig: Rig) -> None:
    texts = [word for word in words() if word != DATE]
    values = ", ".join(f"'{number % 9}' || n" for number in range(len(texts)))
    rig.change(
        f"insert into wanted (low, {listed(texts)}) select n, {values} from generate_series(1, 30) as n",
        f"insert into history ({listed(KEY)}, high, {listed(texts)})"
        f" select {', '.join('n' for _ in KEY)}, n, {values} from generate_series(1, 9) as n",
    )
    rig.change(
        f"update history set {quoted(SHORT)} = 'too long' where k = 2",
        f"update history set {quoted(DATE)} = '0044-03-15 BC' where k = 6",
    )
    rig.run()

    rig.change(
        f"update wanted set {quoted(SHORT)} = 'new', line = 'new' where low in (3, 20)",
        f"update history set {quoted(SHORT)} = 'fit', stamp = current_timestamp where k = 2",
        f"update history set {quoted(DATE)} = null, stamp = current_timestamp where k = 6",
        "update history set filename = 'new' where k = 4",
        "delete from history where k = 5",
        "delete from wanted where low = 25",
    )
    rig.ingest()
    Replay(rig.model, rig.ingestion, rig.processed, rig.pointer).run("fact_history")
    rig.transform()
    rig.load()

    free = listed([*KEY, *in_star(words())])
    expected = as_text(rig.source_url, f"select {free} from history")
    assert as_text(rig.warehouse_url, f"select {free} from fact_history_current") == expected
    assert as_text(rig.warehouse_url, f"select {free} from fact_history_as_of('infinity')") == expected
    assert rig.warehouse("select k, line from fact_history where is_deleted") == [(5, f"{texts.index('line') % 9}5")]
    assert rig.warehouse(f"select {quoted(SHORT)} from dim_known where k = 3") == [("new",)]
    assert unproven(verify(rig)) == set()
    RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url, dry_run=False).run()
    assert as_text(rig.warehouse_url, f"select {free} from fact_history_current") == expected


@pytest.mark.parametrize("key", ["low", "high", "found", "t"])
def test_a_key_of_any_name_is_read_by_its_ranges(new_database: Callable[..., str], key: str) -> None:
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute(
            f"create table wanted ({key} integer primary key); insert into wanted select generate_series(1, 9)".encode()
        )
    table = SourceTable("wanted", (key,))

    with open_source(url) as source, source.snapshot([table]) as snapshot:
        lines = b"".join(snapshot.hashes_in_ranges(table, [(2, 3), (8, 99)])).splitlines()
        found = [line.partition(b"\t")[0] for line in lines]

    assert found == [b"2", b"3", b"8", b"9"]


def test_names_with_an_underscore_and_those_of_the_history_are_free_in_a_source(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    names = ["_position", "_ordinal", "_captured_at", "_wrong", "_missing", "_part", "is_deleted", "valid_from"]
    own, kept = (", ".join(form.format(name) for name in names) for form in ("{0} as its{0}", "its{0} integer"))
    model = write_model(
        tmp_path / "model",
        """
        [source.item]
        key = ["_line"]
        [star.fact_item]
        kind = "fact"
        key = ["record"]
        driving = "item"
        source_key = ["_line"]
        reads = ["item"]
        """,
        {
            "warehouse.sql": f"""
                create table fact_item (
                    record bigint primary key, _line integer, v real, {kept},
                    valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null,
                    valid_to timestamp
                );
            """,
            "fact/item.sql": f"select _line, v, {own} from item",
        },
    )
    columns = ", ".join(f"{name} integer default 77" for name in names)

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(f"create table item (_line integer primary key, v real, {columns})".encode())
            connection.execute("insert into item values (1, 0.1), (2, 0.2)")

    rig = new_rig(postgres.template("underscores", build), model=str(model.directory))
    rig.run()
    rig.change("update item set v = 5 where _line = 1", "delete from item where _line = 2")
    rig.run()

    assert rig.warehouse(
        "select record, _line, v, its_position, itsis_deleted, is_deleted from fact_item order by 1"
    ) == [
        (1, 1, pytest.approx(0.1), 77, 77, False),
        (2, 2, pytest.approx(0.2), 77, 77, False),
        (3, 1, 5.0, 77, 77, False),
        (4, 2, pytest.approx(0.2), 77, 77, True),
    ]
    assert unproven(verify(rig, deep=True)) == set()
