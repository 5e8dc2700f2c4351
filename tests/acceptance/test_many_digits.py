"""A numeric keeps its digits from the source to the warehouse, however many there are."""

from collections.abc import Callable
from pathlib import Path

import psycopg

from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tests.support.small_source import write_model

TOML = """
[source.reading]
key = ["reading_id"]
updated = "changed"

[star.fact_reading]
kind = "fact"
key = ["record_id"]
driving = "reading"
source_key = ["reading_id"]
reads = ["reading"]

[star.dim_sum]
kind = "dimension"
key = ["reading_id"]
reads = ["reading"]
"""
FILES = {
    "fact/reading.sql": "select reading_id, free, free as free_text, wide, whole, wide as narrow from reading",
    "dimension/sum.sql": "select reading_id, free * 2 as twice, wide from reading",
    "warehouse.sql": """
        create table fact_reading (record_id bigint primary key, reading_id numeric not null, free numeric,
            free_text text, wide numeric(50, 10), whole numeric(76), narrow numeric(12, 2),
            valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp);
        create table dim_sum (reading_id numeric primary key, twice numeric, wide text);
    """,
}
ROWS = """
create table reading (reading_id numeric primary key, free numeric, wide numeric(50, 10), whole numeric(76, 0),
    changed timestamp default '2024-01-01');
insert into reading values (1, 0.1, 1.5, 7), (2.50, 'NaN', 'NaN', null), (3, 12345678901234567890123.4560, 2, 0),
    (4, 'Infinity', repeat('9', 40)::numeric, repeat('7', 76)::numeric), (5, 1e-30, -0.0000000001, -1)
"""
TEXTS = "trim_scale(reading_id)::text, free::text, wide::text, whole::text"
HELD = f"select {TEXTS}, free_text from fact_reading_current order by fact_reading_current.reading_id"


def test_digits_arrive_in_a_numeric_and_in_a_text(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute(ROWS.encode())

    model = write_model(tmp_path / "readings", TOML, FILES)
    rig = new_rig(postgres.template("readings", build), model=str(model.directory))
    rig.run()

    # What does not fit numeric(12, 2) is set aside: the rows 2, 4 and 5. A SELECT that computes sees a decimal, so what
    # that cannot hold, or would round, is set aside.
    assert rig.warehouse(HELD) == [
        ("1", "0.1", "1.5000000000", "7", "0.1"),
        ("3", "12345678901234567890123.4560", "2.0000000000", "0", "12345678901234567890123.4560"),
    ]
    assert rig.warehouse("select trim_scale(reading_id)::text, twice = 0.2, wide from dim_sum") == [
        ("1", True, "1.5000000000")
    ]
    # The key 2.50 becomes 2.5: it is one key, whose row has changed.
    rig.change(
        "update reading set reading_id = 2.5, free = '-Infinity', wide = 3, changed = now() where reading_id = 2.5",
        "update reading set wide = 4, changed = now() where reading_id > 3",
    )
    rig.run()
    assert rig.warehouse(HELD) == [
        ("1", "0.1", "1.5000000000", "7", "0.1"),
        ("2.5", "-Infinity", "3.0000000000", None, "-Infinity"),
        ("3", "12345678901234567890123.4560", "2.0000000000", "0", "12345678901234567890123.4560"),
        ("4", "Infinity", "4.0000000000", "7" * 76, "Infinity"),
        ("5", "0.000000000000000000000000000001", "4.0000000000", "-1", "0.000000000000000000000000000001"),
    ]
    assert unproven(verify(rig, deep=True)) == set()
