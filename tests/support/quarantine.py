"""A pipeline whose source holds what the star cannot take, and what was seen after each of its runs."""

import json
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.support.pipeline import Rig, clock
from tidemark.errors import OvertakenError
from tidemark.log.changelog import manifest_key
from tidemark.model_reader import load_model
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
    5: ("unit_price = 'NaN'", "unit_price is 'NaN', which is no DECIMAL(10,2)"),
    6: ("unit_price = 100000000.00", "unit_price is '100000000.00', which is no DECIMAL(10,2)"),
    7: ("unit_price = 1.005", "unit_price is '1.005', which is no DECIMAL(10,2)"),
    8: ("created_at = 'infinity'", "created_date is 'infinity', which is no DATE"),
    9: ("created_at = '-infinity'", "created_date is '-infinity', which is no DATE"),
    10: ("created_at = '10000-01-01'", "created_date is '10000-01-01', which is no DATE"),
    11: ("created_at = '0044-03-15 BC'", "created_at is '0044-03-15 00:00:00 BC', which no TIMESTAMP can hold"),
    12: ("last_updated = 'infinity'", "last_updated_date is 'infinity', which is no DATE"),
    13: ("staff_id = 404", "sales_staff_id 404 is not in its dimension"),
    14: ("unit_price = 1e30", "unit_price is '1000000000000000000000000000000', which is no DECIMAL(10,2)"),
    15: (
        "unit_price = 2.5000000000000000001",
        "unit_price is '2.5000000000000000001', which is no DECIMAL(10,2)",
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
    seed, toml = folder / "seed" / "currency_names.csv", folder / "model.toml"
    seed.write_text(seed.read_text("utf-8").rstrip("\n") + "\nQQQ,Quasi\n", "utf-8")
    before, after, rest = toml.read_text("utf-8").partition('nullable = ["last_updated_date", ')
    toml.write_text(f'{before}{after}"agreed_payment_date", {rest}', "utf-8")
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


def tell(rig: Rig, folder: Path) -> Story:
    """Do all steps; the warehouse has the tables of the mended model at the end, which lies in `folder`."""
    story = Story(rig, folder)
    for step in (with_a_bad_baseline, with_everything_at_once, with_corrections, with_parents, overtaken, with_mending):
        step(story)
    return story


def with_a_bad_baseline(story: Story) -> None:
    """Take a baseline with a bad value in it."""
    story.change_and_run(LAX, f"update sales_order set agreed_delivery_date = 'soon' where sales_order_id = {SOON[0]}")


def with_everything_at_once(story: Story) -> None:
    """Give each of some orders another bad value, change three others, and add rows that dimensions cannot take."""
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


def with_corrections(story: Story) -> None:
    """Correct most; what waits for staff gets a second version, and the staff is wrong in another way."""
    story.change_and_run(
        CORRECTED,
        f"update sales_order set units_sold = 13, last_updated = {NOW} where sales_order_id in (13, 18)",
        f"update staff set last_name = 'Roe', last_updated = {NOW} where staff_id = 98",
    )


def with_parents(story: Story) -> None:
    """Let the parents come, transform that twice, and try a rebuild."""
    rig = story.rig
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


def overtaken(story: Story) -> None:
    """Let a poll overtake a replay."""
    rig = story.rig
    rig.change(f"update sales_order set units_sold = 5, last_updated = {NOW} where sales_order_id = 19")
    try:
        story.replay(new_id=lambda: str(rig.ingest().stage) and "never").run()
    except OvertakenError as exc:
        story.overtaken = exc


def with_mending(story: Story) -> None:
    """Mend the model, and take up again everything that lies in quarantine."""
    model = load_model(str(mended(story.rig.model.directory, story.folder / "mended")))
    init(story.rig.warehouse_url, model)
    story.rig = replace(story.rig, model=model)
    story.replayed = story.replay().run()
    story.named_again = story.replay().run("fact_sales_order")
    story.change_and_run("select 1")
