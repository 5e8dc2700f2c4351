"""Small batches that are folded in groups come to what they come to one by one, and what was altered is still found."""

import logging
import re
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from tests.support.log_writer import Changes, Row
from tests.support.pipeline import an_engine_for
from tests.support.proof import keys, proof, unproven
from tests.support.tampering import rewrite
from tests.support.written_log import FILES, TOML, WrittenLog
from tidemark.lake.sqltext import Select
from tidemark.lake.table import open_table

LOGGER = "tidemark.log.group"
TAKEN_ALONE = re.compile(r"batch (\d+) has to be taken alone")


def purchase(amount: str, customer_id: int = 1, day: str = "2024-11-01", changed: str | None = None) -> Row:
    return {"customer_id": customer_id, "amount": amount, "bought_on": day, "changed": changed}


def customer(name: str, region_id: int = 1, born: str | None = None) -> Row:
    return {"name": name, "region_id": region_id, "born": born}


PLAIN: list[Changes] = [
    {
        "region": {1: {"label": "north"}, 2: {"label": "south"}},
        "customer": {1: customer("Ada"), 2: customer("Bea", 2)},
        "purchase": {1: purchase("1.50"), 2: purchase("2", 2)},
        "parcel": {"1.5": {"note": "a"}},
    },
    # One row changes in each batch, at moments that go back; a joined row changes in between, and changes back.
    {"purchase": {1: purchase("1.60", changed="2024-11-01 00:15:00")}, "customer": {1: customer("Eve")}},
    {"purchase": {1: purchase("1.70", changed="2024-11-01 00:10:00")}, "customer": {1: customer("Ada")}},
    # A key goes and comes again; a customer is new together with the purchase that names it.
    {"purchase": {2: None, 1: purchase("1.70")}, "region": {1: {"label": "hidden"}}, "customer": {3: customer("Cy")}},
    {"purchase": {2: purchase("3", 3), 9: purchase("9", 2)}, "customer": {2: None}},
    # A key gets another text, and a row is gone before the group ends.
    {"parcel": {"1.5": {"weight": "1.50", "note": "b"}, "7": {"note": None}}, "purchase": {9: None}},
    {"parcel": {"1.50": None, "7": None}, "region": {1: None, 3: {"label": "east"}}},
]
NOT_PLAIN: list[Changes] = [
    # A purchase waits for a customer of a later batch, and a date is one that no model can see.
    {"purchase": {20: purchase("1", 7)}},
    {"purchase": {1: purchase("5")}},
    {"customer": {7: customer("Flo")}},
    {"customer": {3: customer("Cy", born="0044-03-15 BC")}},
    {"purchase": {21: purchase("1", 7, day="2031-05-05")}},
]


def written(folder: Path, batches: list[Changes], **model: Any) -> WrittenLog:  # noqa: ANN401 -- as WrittenLog has it
    log = WrittenLog(folder, **model)
    for changes in batches:
        log.write(changes)
    log.transform()
    return log


def taken_alone(caplog: pytest.LogCaptureFixture) -> set[int]:
    return {int(batch) for batch in TAKEN_ALONE.findall(caplog.text)}


def test_a_group_comes_to_what_its_batches_come_to(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    log = written(tmp_path, PLAIN)
    # Nothing else is found than this harm, in the middle of a history, in a dimension, and in latest.
    rewrite(log.processed, "fact/purchase", "purchase_id = 1 and batch_id = 3", customer_name="'Eve'")
    rewrite(log.processed, "dimension/customer", "customer_id = 3", batch_id="batch_id + 1")
    rewrite(log.ingestion, "latest/purchase", "purchase_id = 1", amount="'1.71'")

    found = log.verify()

    harmed = {("log = star", "fact_purchase"), ("log = star", "dim_customer"), ("log = latest", "purchase")}
    assert {each for each in unproven(found) if each[0].startswith("log = ")} == harmed
    assert keys(proof(found, "log = star", "fact_purchase")) == [("differs", {"purchase_record_id": "4"})]
    assert keys(proof(found, "log = star", "dim_customer")) == [("differs", {"customer_id": "3"})]
    assert keys(proof(found, "log = latest", "purchase")) == [("differs", {"purchase_id": "1"})]
    assert taken_alone(caplog) == set()


def test_a_batch_that_others_depend_on_is_taken_alone(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    log = written(tmp_path, [PLAIN[0], *NOT_PLAIN])

    found = log.verify()

    assert unproven(found) == set()
    assert taken_alone(caplog) == {2, 4, 5}


# The region says which of its rows are gone; the customer keeps every version, dated by its day of birth.
KNOWING = {
    "toml": TOML.replace('key = ["customer_id"]', 'key = ["customer_id"]\nupdated = "born"', 1)
    .replace('reads = ["region"]', 'reads = ["region"]\nsoft_delete = true')
    .replace('reads = ["customer", "region"]', 'reads = ["customer", "region"]\nhistory = true\ndriving = "customer"'),
    "files": FILES
    | {
        "warehouse.sql": FILES["warehouse.sql"]
        .replace("label text);", "label text, is_deleted boolean not null);", 1)
        .replace(
            "(customer_id integer primary key,", "(customer_record_id bigint primary key, customer_id int not null,"
        )
        .replace(
            "region_label text)",
            "region_label text, valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null,"
            " valid_to timestamp)",
        )
    },
}


def beginnings(log: WrittenLog, customer_id: int) -> list[datetime]:
    lake = open_table(log.processed, "dimension/customer")
    assert lake is not None
    with an_engine_for(log.processed) as engine:
        rows = f"select valid_from from {lake.rows()} where customer_id = {customer_id} order by customer_record_id"
        return [row[0] for row in engine.execute(Select(rows)).fetchall()]


def test_dimensions_that_know_deletions_come_to_the_same_in_a_group(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, LOGGER)
    back: Changes = {
        "region": {1: {"label": "north"}},
        "customer": {2: customer("Bea", 2, "2001-01-01"), 4: customer("Dee", born="2024-01-02")},
    }
    late: Changes = {"customer": {4: customer("Dee", born="2024-02-03")}, "region": {3: None}}
    log = written(tmp_path, [*PLAIN, back, late], **KNOWING)
    assert unproven(log.verify()) == set()
    # The moment of the snapshot, where that of the row is before the version before; otherwise the row's own.
    assert beginnings(log, 2)[-1] == datetime(2024, 11, 1, 1, 20)  # noqa: DTZ001 -- UTC, as the star has it
    assert beginnings(log, 4) == [datetime(2024, 1, 2), datetime(2024, 2, 3)]  # noqa: DTZ001 -- as above

    rewrite(log.processed, "dimension/customer", "customer_id = 1 and batch_id = 2", name="'Ada'")
    rewrite(log.processed, "dimension/region", "region_id = 2", is_deleted="true")

    found = log.verify()

    assert {each for each in unproven(found) if each[0].startswith("log = ")} == {
        ("log = star", "dim_customer"),
        ("log = star", "dim_region"),
    }
    assert keys(proof(found, "log = star", "dim_customer")) == [("differs", {"customer_record_id": "3"})]
    assert ("latest = star", "dim_region") in unproven(found)
    assert taken_alone(caplog) == set()
