"""The real rows of totesys arrive whole, digit for digit, on a directory and on S3."""

import datetime as dt
import hashlib
import re
import time
from pathlib import Path

from tests.support.pipeline import Rig, Row, as_text, differences

ORACLE = Path(__file__).parent.parent / "support" / "totesys_oracle"
FACTS = {"fact_sales_order": 11_187, "fact_purchase_orders": 4_649, "fact_payment": 15_836}
# Each fact's source table, its key, and the amount that the star rounds to two decimals.
AMOUNTS = {
    "fact_sales_order": ("sales_order", "sales_order_id", "unit_price"),
    "fact_purchase_orders": ("purchase_order", "purchase_order_id", "item_unit_price"),
    "fact_payment": ("payment", "payment_id", "payment_amount"),
}
COLUMNS = """
    select attname::text, format_type(atttypid, null)
    from pg_attribute
    where attrelid = %s::regclass and attnum > 0 and not attisdropped
    order by attnum
"""
OBJECT = re.compile(r"baseline/(\w+)/(\d+)-\d{4}-\d\d-\d\dT\d\d-\d\d-\d\d\.\d{6}\.jsonl")


def shown(rig: Rig, star: str) -> str:
    """Return the query for what an analyst sees of a star table now, in the columns of its SELECT."""
    names = [name for name, _ in rig.warehouse(COLUMNS, [star])]
    is_fact = rig.model.stars[star].kind == "fact"
    wanted, relation = (names[1:-4], f"{star}_current") if is_fact else (names, star)
    return f"select {', '.join(wanted)} from {relation}"


def test_one_load_gives_every_fact_once(loaded: Rig) -> None:
    for fact, rows in FACTS.items():
        assert (loaded.count(f"{fact}_current"), loaded.count(fact), len(loaded.star(fact))) == (rows, rows, rows)


def test_every_column_of_every_table_equals_plain_sql_over_the_source(loaded: Rig) -> None:
    oracles = {path.stem for path in ORACLE.glob("*.sql")}
    assert oracles >= FACTS.keys()
    for star in oracles:
        expected = as_text(loaded.source_url, (ORACLE / f"{star}.sql").read_text("utf-8"))
        assert differences(expected, as_text(loaded.warehouse_url, shown(loaded, star))) == ([], []), star


def test_stamps_and_amounts_are_those_of_the_source(loaded: Rig) -> None:
    for fact, (table, key, amount) in AMOUNTS.items():
        expected = loaded.source(f"select {key}, created_at, last_updated, {amount} from {table} order by {key}")
        found = loaded.warehouse(
            f"select {key}, created_date + created_time, last_updated_date + last_updated_time, {amount}"
            f" from {fact}_current order by {key}"
        )
        assert found == expected, fact
        assert {len(str(row[3]).partition(".")[2]) for row in found} == {2}, fact


def test_the_lake_and_the_warehouse_hold_the_same_rows(loaded: Rig) -> None:
    for star, table in loaded.model.stars.items():
        rows = loaded.star(star)
        listed = "*" if table.kind == "fact" else "*, 1 as batch_id"
        found = loaded.warehouse(f"select {listed} from {star} order by {', '.join(table.key)}")
        assert rows == [plain(row[:-1] if table.kind == "fact" else row) for row in found], star


def plain(row: Row) -> Row:
    """Return a row of the warehouse as the lake has it: times as texts."""
    return tuple(value.isoformat("microseconds") if isinstance(value, dt.time) else value for value in row)


def test_the_log_holds_the_text_of_postgres(loaded: Rig) -> None:
    for table in loaded.model.sources:
        types: dict[str, str] = dict(loaded.source(COLUMNS, [table]))
        texts = loaded.source(f"select {', '.join(f'{name}::text' for name in types)} from {table} order by 1::int")
        expected = {tuple(row) for row in texts}
        found = set()
        for line in loaded.lines(table):
            assert list(line) == list(types), table
            assert all(value is None or type(value) is json_type(types[name]) for name, value in line.items()), line
            found.add(tuple(value if isinstance(value, str) else as_postgres(value) for value in line.values()))
        assert found == expected, table


def json_type(kind: str) -> type:
    """Return the type in which a line of the log keeps a value: only integers and booleans are not text."""
    return {"integer": int, "boolean": bool}.get(kind, str)


def as_postgres(value: bool | int | None) -> str | None:  # noqa: FBT001 -- a value of JSON, no switch
    """Return the text by which Postgres writes an integer or a boolean."""
    return None if value is None else str(value).lower()


def test_the_manifest_says_what_its_objects_hold(loaded: Rig) -> None:
    manifest = loaded.newest()

    assert (manifest.batch, manifest.tables.keys()) == (1, loaded.model.sources.keys())
    for table, entry in manifest.tables.items():
        ((rows, highest),) = loaded.source(f"select count(*), max({table}_id)::text from {table}")
        assert (entry.rows, entry.inserted, entry.updated, entry.deleted) == (rows, rows, 0, 0)
        (written,) = entry.objects
        body = loaded.ingestion.get(written.key)
        named = OBJECT.fullmatch(written.key)
        assert named is not None
        assert named.groups() == (table, highest)
        assert (written.rows, written.bytes) == (rows, len(body))
        assert written.sha256 == hashlib.sha256(body).hexdigest()


def test_the_warehouse_keeps_the_laws_of_the_model(loaded: Rig) -> None:
    assert loaded.broken_laws() == {}


def test_a_run_without_changes_writes_nothing(loaded: Rig) -> None:
    # The first poll after a baseline keeps the sums of latest.
    loaded.run()
    objects, rows = loaded.objects(), loaded.warehouse_rows()
    started = time.monotonic()

    reports = loaded.run()
    seconds = time.monotonic() - started

    assert [report.batches for report in reports] == [(), (), ()]
    assert [report.rows for report in reports] == [0, 0, 0]
    assert loaded.objects() == objects
    assert loaded.ledger() == [1]
    assert loaded.warehouse_rows() == rows
    # A fifth of a second on a directory, a second and a half on S3; the rest is for a busy machine.
    assert seconds < 10
