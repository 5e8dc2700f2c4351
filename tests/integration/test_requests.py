"""How many requests a command makes: each takes time on S3 and costs money, and a year brings tens of thousands."""

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import pytest

from tests.support.library import LIBRARY, library_template
from tests.support.pipeline import Rig, clock, generated_totesys, rigs
from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tidemark.compact import Compact
from tidemark.objects import ObjectMeta
from tidemark.objects.directory import DirectoryObjects
from tidemark.star.quarantine_report import list_heaps, list_set_aside

BATCHES = 6
REQUESTS_OF_AN_EMPTY_POLL = 3
MOST_REQUESTS_OF_ONE_CHANGE = {"ingest": 42, "transform": 42, "load": 22}
TABLES_OF_LIBRARY = ("dimension/shelf", "fact/loan", "latest/shelf", "latest/loan")
PAID = "update payment set paid = not paid, last_updated = timezone('UTC', clock_timestamp())"
SOON = "update sales_order set agreed_delivery_date = 'soon', last_updated = timezone('UTC', clock_timestamp())"


class Counted(DirectoryObjects):
    """A directory that counts what it is asked, by verb and by what is asked for."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.requests: Counter[str] = Counter()

    def _chunks(self, key: str) -> Iterator[bytes]:
        self.requests[f"get {key}"] += 1
        return super()._chunks(key)

    def _find(self, key: str) -> ObjectMeta | None:
        self.requests[f"find {key}"] += 1
        return super()._find(key)

    def _list(self, prefix: str, start_after: str) -> Iterator[ObjectMeta]:
        self.requests[f"list {prefix}"] += 1
        return super()._list(prefix, start_after)

    def manifests(self) -> dict[str, int]:
        """Give how often manifests were read, and how often the records of rebuilds were listed."""
        return {
            "manifests": sum(count for asked, count in self.requests.items() if asked.startswith("get batches/")),
            "rebuilds": self.requests["list rebuilds/"],
        }


@dataclass(frozen=True)
class Filled:
    """A pipeline of which each batch but the first has set a row aside."""

    rig: Rig
    place: Path

    def counted(self) -> tuple[Rig, Counted]:
        """Give the pipeline with a processed bucket that counts."""
        processed = Counted(self.place / "processed")
        return replace(self.rig, processed=processed), processed


@pytest.fixture(scope="module")
def filled(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Filled]:
    place = tmp_path_factory.mktemp("requests") / "lake"
    with rigs(postgres, str(place)) as create:
        rig = create(postgres.template("handful_of_totesys", generated_totesys(scale=0.002)))
        rig.run()
        for key in range(2, BATCHES + 1):
            rig.change(f"{SOON} where sales_order_id = {key}")
            rig.run()
        yield Filled(rig, place)


def test_compact_reads_each_manifest_of_the_star_once(filled: Filled) -> None:
    rig, processed = filled.counted()

    Compact(rig.model, rig.ingestion, processed, clock, lambda: 1, timedelta(days=7)).run(dry_run=True)

    assert processed.manifests() == {"manifests": BATCHES, "rebuilds": 1}


def test_a_look_into_quarantine_reads_each_manifest_of_the_star_once(filled: Filled) -> None:
    rig, processed = filled.counted()
    tables = list(rig.model.stars.values())

    assert [heap.rows for heap in list_heaps(tables, processed)] == [BATCHES - 1]
    assert processed.manifests() == {"manifests": BATCHES - 1, "rebuilds": 1}

    processed.requests.clear()
    assert len(list_set_aside(tables, processed)) == BATCHES - 1
    assert processed.manifests() == {"manifests": BATCHES - 1, "rebuilds": 1}


def asked(s3: S3, work: Callable[[], object]) -> list[str]:
    """Give the requests that some work sends to S3."""
    before = len(s3.requests())
    work()
    return s3.requests()[before:]


def test_a_run_over_eleven_tables_asks_s3_little(s3: S3, postgres: Postgres, tmp_path: Path) -> None:
    with rigs(postgres, str(tmp_path / "lake")) as create:
        template = postgres.template("handful_of_totesys", generated_totesys(scale=0.002))
        rig = create(template, place=f"s3://{s3.create_bucket()}")
        rig.ingest()
        rig.ingest()

        nothing = asked(s3, rig.ingest)
        for key in (2, 3):
            rig.change(f"{PAID} where payment_id = {key}")
            requests = {stage.__name__: asked(s3, stage) for stage in (rig.ingest, rig.transform, rig.load)}
        nothing_again = asked(s3, rig.ingest)
    # A listing, the newest manifest, and the sums of latest; the pointer, read and written, is in Parameter Store.
    assert len(nothing) == len(nothing_again) == REQUESTS_OF_AN_EMPTY_POLL
    most = MOST_REQUESTS_OF_ONE_CHANGE
    assert {stage: len(found) for stage, found in requests.items() if len(found) > most[stage]} == {}
    # The second change opens nothing but the fact: its dimensions' files and the calendar's years are in the manifest.
    logs = {star.name: f"{star.path}/_delta_log".replace("/", "%2F") for star in rig.model.stars.values()}
    opened = {name for name, log in logs.items() if any(log in each for each in requests["transform"])}
    assert opened == {"fact_payment"}


def test_transform_and_load_ask_s3_for_little(postgres: Postgres, new_rig: Callable[..., Rig], s3: S3) -> None:
    rig = new_rig(library_template(postgres), model=str(LIBRARY), place=f"s3://{s3.create_bucket()}")

    rig.run()
    assert [len(asked(s3, stage)) for stage in (rig.transform, rig.load)] == [5, 3]

    rig.change("update shelf set label = 'maps', changed = '2024-11-05 09:02' where shelf_id = 4")
    rig.ingest()
    requests = {stage.__name__: asked(s3, stage) for stage in (rig.transform, rig.load)}
    # Nothing of the fact, and of latest no more than a SELECT reads.
    opened = {table for table in TABLES_OF_LIBRARY if any(table in each for each in requests["transform"])}
    assert opened == {"dimension/shelf"}
    # Two thirds of these are delta-rs, which reads each commit since the last checkpoint several times.
    assert len(requests["transform"]) <= 32
    assert len(requests["load"]) <= 17
