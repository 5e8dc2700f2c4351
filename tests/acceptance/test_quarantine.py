"""A row that the star cannot take is set aside, every other row flows, and once mended it takes its place."""

import json
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.pipeline import Rig, Row, clock, generated_totesys, rigs
from tests.support.postgres import Postgres
from tidemark.cli import run as tidemark
from tidemark.errors import ConfigError, OvertakenError
from tidemark.log.changelog import manifest_key
from tidemark.model import load_model
from tidemark.rebuild import Rebuild
from tidemark.replay import Replay, Replayed
from tidemark.star.quarantine_report import SetAside, list_set_aside
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import count_set_aside
from tidemark.verification.result import TableProof
from tidemark.warehouse.schema import init

NOW = "timezone('UTC', clock_timestamp())"
MEBIBYTE = 1 << 20
# What sales orders are set to, each another one, and the reason that quarantine gives.
BAD = {
    1: ("agreed_delivery_date = '2023-02-30'", "agreed_delivery_date is '2023-02-30', which is no DATE"),
    2: ("agreed_delivery_date = 'next week'", "agreed_delivery_date is 'next week', which is no DATE"),
    3: ("agreed_delivery_date = ''", "agreed_delivery_date is '', which is no DATE"),
    4: ("agreed_payment_date = null", "agreed_payment_date is null, and the star has none there"),
    5: ("unit_price = 'NaN'", "unit_price is 'NaN', which no DECIMAL(38, 18) can hold"),
    6: ("unit_price = 100000000.00", "unit_price is '100000000.000000000000000000', which is no DECIMAL(10,2)"),
    7: ("unit_price = 1.005", "unit_price is '1.005000000000000000', which is no DECIMAL(10,2)"),
    8: ("created_at = 'infinity'", "created_date is 'infinity', which is no DATE"),
    9: ("created_at = '-infinity'", "created_date is '-infinity', which is no DATE"),
    10: ("created_at = '10000-01-01'", "created_date is '10000-01-01', which is no DATE"),
    11: ("created_at = '0044-03-15 BC'", "created_at is '0044-03-15 00:00:00 BC', which no TIMESTAMP can hold"),
    12: ("last_updated = 'infinity'", "last_updated_date is 'infinity', which is no DATE"),
    13: ("staff_id = 404", "sales_staff_id 404 is not in its dimension"),
    14: ("unit_price = 1e30", "unit_price is '1000000000000000000000000000000', which no DECIMAL(38, 18) can hold"),
    15: (
        "unit_price = 2.5000000000000000001",
        "unit_price is '2.5000000000000000001', which no DECIMAL(38, 18) can hold",
    ),
    16: ("currency_id = 99", "currency_id 99 is not in its dimension"),
    17: (
        f"agreed_delivery_date = repeat('x', {4 * MEBIBYTE})",
        f"agreed_delivery_date is '{'x' * 100}', which is no DATE",
    ),
    18: ("staff_id = 98", "sales_staff_id 98 is not in its dimension"),
}
SOON = (22, "agreed_delivery_date is 'soon', which is no DATE")
UNNAMED = "currency_name is null, and the star has none there"
NAMELESS = "first_name is null, and the star has none there"
# What must arrive as it is.
TEXTS = (
    "🚢 grüße 👩🏽‍🚀 ﷽",
    "\u202eשלום עולם مرحبا\u202c",  # noqa: RUF001 -- Hebrew
    r"C:\new\table \\server \' \" \x41",
    """it's "quoted", 'twice' ''and'' ""again"" """,
    "one\ntwo\r\nthree\tfour\rfive ",
    r"\u0000 \0 %00 \N",
    "null",
    "",
    "long " * (4 * MEBIBYTE // 5),
)
CORRECTED = f"""
    update sales_order set created_at = '2024-01-02', agreed_delivery_date = '2024-01-05', last_updated = {NOW},
        agreed_payment_date = '2024-01-06', unit_price = 2.50
    where sales_order_id not in (13, 16, 18) and sales_order_id <= 18
"""
LAX = """
    alter table sales_order alter agreed_payment_date drop not null;
    alter table staff alter first_name drop not null;
    do $$ declare k record; begin
        for k in select conrelid::regclass as t, conname from pg_constraint where contype = 'f' loop
            execute format('alter table %s drop constraint %I', k.t, k.conname);
        end loop;
    end $$
"""


@dataclass
class Look:
    """What lies where after a run."""

    aside: list[SetAside]
    counts: dict[str, int]
    orders: dict[int, list[dict[str, Any]]]
    texts: list[Row]
    source_texts: list[Row]
    latest: dict[int, dict[str, Any]]
    source: dict[int, tuple[str | None, ...]]
    laws: dict[str, TableProof]

    def reasons(self, table: str) -> dict[tuple[int, int], str]:
        """Give the reasons by key and batch."""
        return {(next(iter(json.loads(r.key).values())), r.batch): r.reason for r in self.aside if r.table == table}


@dataclass
class Story:
    """A pipeline, and what was seen after each of its steps."""

    rig: Rig
    folder: Path
    steps: list[Look] = field(default_factory=list)
    is_same_again: bool = False
    rebuilt_differences: int = -1
    overtaken: OvertakenError | None = None
    replayed: Replayed | None = None
    named_again: Replayed | None = None

    def change_and_run(self, *statements: str) -> None:
        """Change the source, run, and look."""
        self.rig.change(*statements)
        self.rig.run()
        self.look()

    def look(self) -> None:
        """Take note of everything."""
        rig = self.rig
        orders: dict[int, list[dict[str, Any]]] = {}
        for version in rig.versions("fact_sales_order"):
            orders.setdefault(version["sales_order_id"], []).append(version)
        self.steps.append(
            Look(
                list_set_aside(list(rig.model.stars.values()), rig.processed),
                count_set_aside(StarLog(rig.processed).newest()),
                orders,
                rig.warehouse("select purchase_order_id, item_code from fact_purchase_orders_current order by 1"),
                rig.source("select purchase_order_id, item_code from purchase_order order by 1"),
                {row["sales_order_id"]: row for row in rig.latest("sales_order")},
                {
                    row[0]: row[1:]
                    for row in rig.source(
                        "select sales_order_id, created_at::text, last_updated::text, unit_price::text,"
                        " agreed_delivery_date, agreed_payment_date from sales_order"
                    )
                },
                rig.broken_laws(),
            )
        )

    def replay(self, **parts: Any) -> Replay:  # noqa: ANN401 -- the parts of Replay
        """Give what takes rows up again."""
        return replace(Replay(self.rig.model, self.rig.ingestion, self.rig.processed, self.rig.pointer), **parts)


def mended(model: Path, folder: Path) -> Path:
    """Copy a model, in which QQQ is a currency and an order may have no date of payment."""
    shutil.copytree(model, folder)
    seed, warehouse = folder / "seed" / "currency_names.csv", folder / "warehouse.sql"
    seed.write_text(seed.read_text("utf-8").rstrip("\n") + "\nQQQ,Quasi\n", "utf-8")
    tables = warehouse.read_text("utf-8").replace("agreed_payment_date date not null", "agreed_payment_date date")
    warehouse.write_text(tables, "utf-8")
    return folder


def transform_twice(story: Story) -> None:
    """Transform, and do it again as if the process had been killed before the manifest."""
    rig = story.rig
    rig.transform()
    batch = StarLog(rig.processed).newest_batch()

    def seen() -> tuple[Any, ...]:
        tables = StarLog(rig.processed).manifest(batch).tables
        kept = {each.key: rig.processed.get(each.key) for each in rig.processed.list("quarantine/")}
        entries = {name: replace(entry, version=0) for name, entry in tables.items()}
        return kept, entries, {name: rig.star(name) for name in rig.model.stars}

    before = seen()
    rig.processed.delete([manifest_key(batch)])
    rig.transform()
    story.is_same_again = seen() == before


@pytest.fixture(scope="module")
def story(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("quarantine")
    with rigs(postgres, str(folder / "lake")) as create:
        rig = create(postgres.template("handful_of_totesys", generated_totesys(scale=0.002)))
        story = Story(rig, folder)
        # 1: a baseline with a bad value in it.
        story.change_and_run(
            LAX, f"update sales_order set agreed_delivery_date = 'soon' where sales_order_id = {SOON[0]}"
        )
        # 2: everything at once.
        with psycopg.connect(rig.source_url) as source:
            for number, text in enumerate(TEXTS, start=1):
                source.execute(
                    f"update purchase_order set item_code = %s, last_updated = {NOW} where purchase_order_id = %s",
                    (text, number),
                )
        story.change_and_run(
            *(
                f"update sales_order set last_updated = {NOW}, units_sold = 12345 where sales_order_id = {key};"
                f"update sales_order set {bad} where sales_order_id = {key}"
                for key, (bad, _) in BAD.items()
            ),
            f"update sales_order set units_sold = 777, last_updated = {NOW} where sales_order_id in (19, 20, 21)",
            "insert into currency values (99, 'QQQ')",
            "insert into staff values (98, null, 'Doe', 1, 'doe@example.com')",
        )
        # 3: most are corrected; what waits for staff gets a second version, and the staff is wrong in another way.
        story.change_and_run(
            CORRECTED,
            f"update sales_order set units_sold = 13, last_updated = {NOW} where sales_order_id in (13, 18)",
            f"update staff set last_name = 'Roe', last_updated = {NOW} where staff_id = 98",
            f"update purchase_order set item_code = item_code || '.', last_updated = {NOW} where purchase_order_id = 9",
        )
        # 4: the parents come.
        rig.change(
            f"update staff set first_name = 'Jo', last_updated = {NOW} where staff_id = 98",
            "insert into staff values (404, 'New', 'Hand', 1, 'new@example.com')",
        )
        rig.ingest()
        transform_twice(story)
        rig.load()
        story.look()
        report = Rebuild(rig.model, rig.ingestion, rig.processed, clock, dry_run=True).star()
        story.rebuilt_differences = report.differences
        # 5: a poll that overtakes a replay.
        rig.change(f"update sales_order set units_sold = 5, last_updated = {NOW} where sales_order_id = 19")
        try:
            story.replay(new_id=lambda: str(rig.ingest().stage) and "never").run()
        except OvertakenError as exc:
            story.overtaken = exc
        # 6: the model is mended, and everything that lies in quarantine taken up again.
        model = load_model(str(mended(rig.model.directory, folder / "mended")))
        init(rig.warehouse_url, model)
        story.rig = replace(rig, model=model)
        story.replayed = story.replay().run()
        story.named_again = story.replay().run("fact_sales_order")
        story.change_and_run("select 1")
        yield story


def test_each_bad_value_is_set_aside_with_its_reason(story: Story) -> None:
    found = story.steps[1].reasons("fact_sales_order")

    assert found == {(key, 2): reason for key, (_, reason) in BAD.items()} | {(SOON[0], 1): SOON[1]}


def test_only_what_refers_to_a_missing_row_waits(story: Story) -> None:
    assert {json.loads(row.key)["sales_order_id"] for row in story.steps[1].aside if row.waits} == {13, 16, 18}


def test_a_bad_value_in_the_first_batch_leaves_its_row_out_and_no_other(story: Story) -> None:
    first = story.steps[0]

    assert first.reasons("fact_sales_order") == {(SOON[0], 1): SOON[1]}
    assert sorted(first.orders) == list(range(1, 22))


def test_a_dimension_sets_aside_what_it_has_no_name_for(story: Story) -> None:
    assert story.steps[1].reasons("dim_currency") == {(99, 2): UNNAMED}
    assert story.steps[1].reasons("dim_staff") == {(98, 2): NAMELESS}


def test_every_other_row_of_the_batch_flows(story: Story) -> None:
    orders = story.steps[1].orders

    assert [[each["units_sold"] for each in orders[key]][1:] for key in (19, 20, 21)] == [[777]] * 3
    assert {key: len(orders[key]) for key in BAD} == dict.fromkeys(BAD, 1)
    assert [orders[key][0]["valid_to"] for key in BAD] == [None] * len(BAD)


def test_strange_texts_arrive_untouched(story: Story) -> None:
    assert [text for _, text in story.steps[1].texts] == [*TEXTS]
    assert story.steps[1].texts == story.steps[1].source_texts
    # A line that holds a long text twice, as it is and as it was.
    assert story.steps[2].texts == story.steps[2].source_texts


def test_log_and_latest_hold_any_value(story: Story) -> None:
    names = ("created_at", "last_updated", "unit_price", "agreed_delivery_date", "agreed_payment_date")
    second = story.steps[1]
    logged = {line["sales_order_id"]: line for line in list(story.rig.lines("sales_order"))[22 : 22 + len(BAD) + 3]}

    assert {key: tuple(second.latest[key][name] for name in names) for key in second.source} == second.source
    assert {key: tuple(logged[key][name] for name in names) for key in BAD} == {key: second.source[key] for key in BAD}


def test_the_processed_manifest_counts_what_lies_in_quarantine(story: Story) -> None:
    for step in story.steps:
        counted: dict[str, int] = {}
        for row in step.aside:
            counted[row.table] = counted.get(row.table, 0) + 1
        assert counted == step.counts


def test_a_corrected_row_flows_as_a_new_version(story: Story) -> None:
    third = story.steps[2]
    corrected = BAD.keys() - {13, 16, 18}

    assert {key: len(third.orders[key]) for key in corrected} == dict.fromkeys(corrected, 2)
    assert {str(third.orders[key][-1]["unit_price"]) for key in corrected} == {"2.50"}
    # What was wrong stays where it lies.
    assert corrected <= {key for key, _ in third.reasons("fact_sales_order")}


def test_a_dimensions_row_that_is_wrong_again_lies_there_once(story: Story) -> None:
    rows = [row for row in story.steps[2].aside if row.table == "dim_staff"]

    assert [(row.batch, row.reason, row.values["last_name"]) for row in rows] == [(3, NAMELESS, "Roe")]
    assert story.steps[2].reasons("dim_currency") == {(99, 2): UNNAMED}


def test_rows_come_back_with_the_row_that_they_wait_for(story: Story) -> None:
    fourth = story.steps[3]

    for key, staff in ((13, 404), (18, 98)):
        versions = fourth.orders[key]
        assert [(each["units_sold"], each["sales_staff_id"], each["batch_id"]) for each in versions[1:]] == [
            (12345, staff, 4),
            (13, staff, 4),
        ]
        assert [each["valid_to"] for each in versions] == [*(each["valid_from"] for each in versions[1:]), None]
        assert not {(key, 2), (key, 3)} & fourth.reasons("fact_sales_order").keys()
    assert fourth.reasons("dim_staff") == {}


def test_a_transform_that_is_killed_before_its_manifest_does_the_same_again(story: Story) -> None:
    assert story.is_same_again


def test_a_rebuild_fills_and_empties_quarantine_alike(story: Story) -> None:
    assert story.rebuilt_differences == 0


def test_a_replay_that_a_poll_overtakes_harms_nothing(story: Story) -> None:
    assert story.overtaken is not None
    assert story.rig.manifests()[4].replay == {}
    assert story.steps[4].orders[19][-1]["units_sold"] == 5


def test_a_replay_takes_up_what_the_mended_model_can_take(story: Story) -> None:
    last = story.steps[4]
    unpaid, foreign = last.orders[4], last.orders[16]

    assert [(each["agreed_payment_date"] is None, each["batch_id"]) for each in unpaid] == [
        (False, 1),
        (True, 6),
        (False, 3),
    ]
    assert [(each["currency_id"] == 99, each["batch_id"]) for each in foreign] == [(False, 1), (True, 6)]
    assert last.reasons("dim_currency") == {}
    # The others are as wrong as before.
    still = {key for key, _ in last.reasons("fact_sales_order")}
    assert still == BAD.keys() - {4, 13, 16, 18} | {SOON[0]}


def test_a_replay_says_what_it_names_and_names_nothing_twice(story: Story) -> None:
    named = len(story.steps[3].aside)

    assert story.replayed == Replayed(6, {"dim_currency": 1, "fact_sales_order": named - 1})
    assert story.named_again == Replayed(None, {}, (6,))


def test_a_replay_of_what_is_not_there_says_so(story: Story) -> None:
    with pytest.raises(ConfigError, match="no rows with the surrogate keys"):
        story.replay().run("fact_sales_order", (999_999,))
    with pytest.raises(ConfigError, match="no star table"):
        story.replay().run("fact_nothing")
    with pytest.raises(ConfigError, match="not the fact"):
        story.replay().run(None, (1,))


def test_surrogate_keys_are_those_of_the_log(story: Story) -> None:
    keys = [line["sales_order_id"] for line in story.rig.lines("sales_order")]
    last = story.steps[-1]
    loaded = {each["sales_record_id"]: key for key, versions in last.orders.items() for each in versions}
    aside = {
        row.ordinal: json.loads(row.key)["sales_order_id"] for row in last.aside if row.table == "fact_sales_order"
    }

    assert dict(enumerate(keys, start=1)) == loaded | aside
    assert not loaded.keys() & aside.keys()


def test_histories_have_neither_gap_nor_overlap_and_the_laws_hold(story: Story) -> None:
    assert [step.laws for step in story.steps] == [{}] * 5
    for versions in story.steps[-1].orders.values():
        assert [each["valid_to"] for each in versions] == [*(each["valid_from"] for each in versions[1:]), None]
        numbers = [each["sales_record_id"] for each in versions]
        assert numbers == sorted(numbers)


def places(story: Story) -> list[str]:
    lake = story.folder / "lake"
    return [
        *("--ingestion", str(lake / "ingestion"), "--processed", str(lake / "processed")),
        *("--pointer", str(lake / "pointer.json"), "--model", str(story.folder / "mended")),
    ]


def document(story: Story, capsys: pytest.CaptureFixture[str], *arguments: str) -> Any:  # noqa: ANN401 -- JSON
    assert tidemark([*arguments, "--json", *places(story)]) == 0
    return json.loads(capsys.readouterr().out)


def test_list_counts_by_table_and_reason(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    (heap,) = document(story, capsys, "quarantine", "list")["tables"]

    assert (heap["table"], heap["rows"], heap["waiting"], heap["oldest_batch"]) == ("fact_sales_order", 15, 0, 1)
    assert heap["reasons"]["agreed_delivery_date is …, which is no DATE"] == 5
    assert tidemark(["quarantine", "list", *places(story)]) == 0
    assert "5  agreed_delivery_date is …, which is no DATE" in capsys.readouterr().out


def test_show_gives_reason_values_and_what_to_do(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    (row,) = document(story, capsys, "quarantine", "show", "fact_sales_order", "--batch", "1")["rows"]

    assert (row["key"], row["batch"], row["ordinal"]) == ({"sales_order_id": 22}, 1, 22)
    assert row["row"]["agreed_delivery_date"] == "soon"
    assert "correct it in the source" in row["mend"][0]
    assert tidemark(["quarantine", "show", "--ordinal", "22", *places(story)]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"fact_sales_order 22\n +key +sales_order_id 22\n +reason +agreed_delivery_date is 'soon'", shown)
    assert "tidemark quarantine replay fact_sales_order" in shown
    assert tidemark(["quarantine", "show", "dim_staff", *places(story)]) == 0
    assert "no such rows" in capsys.readouterr().out


def test_a_wrong_call_is_a_config_error(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert tidemark(["quarantine", "list", "--batch", "1", *places(story)]) == 2
    assert tidemark(["quarantine", "show", "fact_nothing", *places(story)]) == 2
    capsys.readouterr()


def test_status_counts_what_lies_in_quarantine(story: Story, capsys: pytest.CaptureFixture[str]) -> None:
    assert document(story, capsys, "status")["quarantine"] == {"fact_sales_order": 15}
    assert tidemark(["status", *places(story)]) == 0
    assert "15 rows set aside (fact_sales_order 15): see tidemark quarantine list" in capsys.readouterr().out
