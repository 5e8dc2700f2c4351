"""A source may use any name, even one that the engine's own SQL uses."""

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import Rig, as_text
from tests.support.postgres import Postgres

# Names that the engine's SQL, DuckDB or JSON could take for something else.
COLUMNS = (
    *("line", "part", "bucket", "stamp", "since", "ordinal", "rows", "n", "h", "l", "s", "t", "key", "batch", "hash"),
    *("filename", "is_new", "wanted", "low", "k0", "Über", "order", "select", 'a "quoted" one', "a'b"),
)
MODEL = """
[source.history]
key = ["order_no", "position"]
updated = "valid_from"

[source.change]
key = ["bucket"]

[star.dim_new]
kind = "dimension"
key = ["bucket"]
reads = ["change"]

[star.dim_known]
kind = "dimension"
key = ["order_no", "position"]
reads = ["history", "change"]

[star.fact_changed]
kind = "fact"
key = ["ordinal"]
driving = "history"
source_key = ["order_no", "position"]
reads = ["history"]
"""
WAREHOUSE = """
create table dim_new (bucket integer primary key, filename varchar);
create table dim_known (order_no integer, position integer, filename varchar, primary key (order_no, position));
create table fact_changed (
    ordinal bigint primary key, order_no integer, position integer, {columns},
    valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp
);
create or replace view fact_changed_current as select * from fact_changed where valid_to is null and not is_deleted;
"""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    columns = ", ".join(f"{quoted('c_' + name)} varchar" for name in COLUMNS)
    given = ", ".join(f"{quoted(name)} as {quoted('c_' + name)}" for name in COLUMNS)
    files = {
        "model.toml": MODEL,
        "warehouse.sql": WAREHOUSE.format(columns=columns),
        "fact/changed.sql": f"select order_no, position, {given} from history",
        "dimension/new.sql": "select bucket, filename from change",
        "dimension/known.sql": (
            "select h.order_no, h.position, c.filename from history as h left join change as c on h.order_no = c.bucket"
        ),
    }
    for path, content in files.items():
        (tmp_path / "words" / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "words" / path).write_text(content, encoding="utf-8")
    return tmp_path / "words"


@pytest.fixture
def rig(new_rig: Callable[..., Rig], postgres: Postgres, model: Path) -> Rig:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            columns = ", ".join(f"{quoted(name)} text" for name in COLUMNS)
            connection.execute(
                f"create table history (order_no integer, position integer, {columns},"
                " valid_from timestamp default current_timestamp, primary key (order_no, position))".encode()
            )
            connection.execute("create table change (bucket integer primary key, filename text, position integer)")

    return new_rig(postgres.template("words", build), model=str(model))


def assert_all_is_equal(rig: Rig) -> None:
    given = ", ".join(map(quoted, COLUMNS))
    shown = ", ".join(quoted("c_" + name) for name in COLUMNS)
    expected = as_text(rig.source_url, f"select order_no, position, {given} from history")
    assert as_text(rig.warehouse_url, f"select order_no, position, {shown} from fact_changed_current") == expected
    expected = as_text(rig.source_url, "select bucket, filename from change")
    assert as_text(rig.warehouse_url, "table dim_new") == expected


def test_names_of_the_engine_are_free_for_a_source(rig: Rig) -> None:
    listed = ", ".join(map(quoted, COLUMNS))
    values = ", ".join(f"'{number} of ' || order_no" for number in range(len(COLUMNS)))
    rig.change(
        f"insert into history (order_no, position, {listed})"
        f" select order_no, 1, {values} from generate_series(1, 9) as order_no",
        "insert into change select n, 'file ' || n, n from generate_series(1, 9) as n",
    )
    rig.run()
    assert_all_is_equal(rig)

    rig.change(
        "update history set line = 'new', valid_from = current_timestamp where order_no = 3",
        "update history set filename = 'new' where order_no = 4",
        "delete from history where order_no = 5",
        "update change set filename = 'new' where bucket = 3",
        "insert into change values (10, 'ten', 10)",
    )
    rig.run()
    assert_all_is_equal(rig)
    assert rig.warehouse("select order_no, c_line from fact_changed where is_deleted") == [(5, "0 of 5")]
    assert rig.warehouse("select filename from dim_known where order_no = 3") == [("new",)]
