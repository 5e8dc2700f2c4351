"""A lake that an older Tidemark wrote is read and written as it is, until it is made one that every reader opens."""

from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.library import LIBRARY, MORE, is_whole, library_template
from tests.support.older_lake import PLAIN, WITH_FEATURE, asked_by, asked_by_table, kinds_of_times, older_tidemark
from tests.support.pipeline import Rig, clock
from tests.support.postgres import Postgres
from tests.support.proof import unproven, verify
from tidemark.compact import Compact, CompactReport
from tidemark.doctor.finding import Finding
from tidemark.doctor.places import examine_star
from tidemark.errors import OvertakenError
from tidemark.faults import watched
from tidemark.lake.files import batch_of
from tidemark.lake.table import Change, LakeTable, open_table
from tidemark.pipeline import Pipeline
from tidemark.rebuild import Rebuild
from tidemark.settings import Settings
from tidemark.star.star_log import StarLog

LOANS = "fact/loan"
NAIVE = "TimestampType(isAdjustedToUTC=0, unit=TimeUnit(MILLIS=<null>, MICROS=MicroSeconds(), NANOS=<null>))"
UTC = NAIVE.replace("isAdjustedToUTC=0", "isAdjustedToUTC=1")


def with_older_batches(postgres: Postgres, create: Callable[..., Rig]) -> Rig:
    """Make a pipeline whose star an older Tidemark wrote: two batches are loaded, and a third one is not."""
    with older_tidemark():
        made = create(library_template(postgres), model=str(LIBRARY))
        made.run()
        made.change((LIBRARY / "activity.sql").read_text("utf-8"))
        made.run()
        made.change(*MORE)
        made.ingest()
        made.transform()
    return made


@pytest.fixture
def older(kept_rig: Callable[..., Rig]) -> Callable[..., Rig]:
    """Give a test its copy of such a pipeline: `older(place=None)`."""
    return lambda place=None: kept_rig("library of an older Tidemark", with_older_batches, place)


@pytest.fixture
def rig(older: Callable[..., Rig]) -> Rig:
    return older()


def compact(rig: Rig, now: Callable[[], datetime] = clock, *, dry_run: bool = False) -> CompactReport:
    return Compact(rig.model, rig.ingestion, rig.processed, now, lambda: rig.ledger()[-1]).run(dry_run=dry_run)


def loans(rig: Rig) -> LakeTable:
    table = open_table(rig.processed, LOANS)
    assert table is not None
    return table


def doctor(rig: Rig, folder: Path) -> list[Finding]:
    ingestion, processed, pointer = (str(folder / "lake" / name) for name in ("ingestion", "processed", "pointer.json"))
    settings = Settings(rig.source_url, rig.warehouse_url, ingestion, processed, pointer, model=str(LIBRARY))
    return list(examine_star(Pipeline(settings, clock)))


def test_runs_go_on_with_the_tables_of_an_older_tidemark_as_they_are(rig: Rig) -> None:
    before = asked_by(rig)
    assert (before[LOANS], kinds_of_times(rig.processed, LOANS)) == (WITH_FEATURE, {NAIVE})

    rig.change("update loan set fee = fee + 1, changed = '2024-11-06' where loan_id = 21")
    rig.run()

    assert asked_by(rig) == before
    assert kinds_of_times(rig.processed, LOANS) == {NAIVE}
    assert is_whole(rig)
    assert unproven(verify(rig, deep=True)) == set()


def test_a_compaction_makes_them_tables_that_every_reader_opens(older: Callable[..., Rig], place: str) -> None:
    rig = older(place)
    rows, version = rig.star("fact_loan"), loans(rig).version
    names = [batch_of(file) for file in loans(rig).files]

    assert compact(rig, dry_run=True).tables[LOANS].renewed == len(names)
    assert (asked_by(rig)[LOANS], loans(rig).version) == (WITH_FEATURE, version)
    assert compact(rig).tables[LOANS].renewed == len(names)

    assert set(asked_by(rig).values()) == {PLAIN}
    assert rig.star("fact_loan") == rows
    assert loans(rig).columns["valid_from"] == "TIMESTAMP"
    # The batch that is not loaded yet is read as its manifest says: at a version before.
    assert asked_by_table(rig.processed, LOANS, StarLog(rig.processed).manifest(3).tables["fact_loan"].version) == (
        WITH_FEATURE
    )
    rig.load()
    assert rig.ledger() == [1, 2, 3]
    rig.change("update loan set fee = fee + 1, changed = '2024-11-06' where loan_id = 21")
    rig.run()
    assert is_whole(rig)
    assert unproven(verify(rig, deep=True)) == set()
    assert compact(rig).tables[LOANS].renewed == 0


def test_the_files_then_have_moments_in_utc(rig: Rig) -> None:
    compact(rig)

    assert kinds_of_times(rig.processed, LOANS) == {UTC}


def test_a_rebuild_makes_them_such_tables_too(rig: Rig) -> None:
    rows = rig.star("fact_loan")

    report = Rebuild(rig.model, rig.ingestion, rig.processed, clock).star()

    assert (report.is_in_place, report.differences) == (True, 0)
    assert set(asked_by(rig).values()) == {PLAIN}
    assert kinds_of_times(rig.processed, LOANS) == {UTC}
    assert rig.star("fact_loan") == rows
    rig.run()
    assert is_whole(rig)
    assert unproven(verify(rig, deep=True)) == set()


def test_a_batch_that_is_half_done_still_finds_its_files(rig: Rig) -> None:
    rig.change("delete from loan where loan_id = 25")
    rig.ingest()

    class StoppedError(Exception):
        """Stand for a kill."""

    def stop(point: str) -> None:
        if point == "before-processed-manifest":
            raise StoppedError

    with watched(stop), pytest.raises(StoppedError):
        rig.transform()
    assert batch_of(max(loans(rig).files)) == 4

    compact(rig)

    assert {batch_of(file) for file in loans(rig).files} >= {4}
    rig.run()
    assert is_whole(rig)
    assert unproven(verify(rig, deep=True)) == set()


@pytest.mark.parametrize(
    "moment",
    [pytest.param("before-fact-file", marks=pytest.mark.exhaustive), "before-fact-commit", "after-fact-commit"],
)
def test_a_compaction_that_is_stopped_in_between_is_made_good_by_the_next(rig: Rig, moment: str) -> None:
    class StoppedError(Exception):
        """Stand for a kill."""

    def stop(point: str) -> None:
        if point == moment:
            raise StoppedError

    rows = rig.star("fact_loan")
    with watched(stop), pytest.raises(StoppedError):
        compact(rig)
    assert rig.star("fact_loan") == rows

    compact(rig)

    assert set(asked_by(rig).values()) == {PLAIN}
    assert rig.star("fact_loan") == rows
    rig.run()
    assert is_whole(rig)


def test_a_run_that_commits_in_between_wins_and_the_table_is_left_for_the_next_time(rig: Rig) -> None:
    def overtaken() -> datetime:
        table = loans(rig)
        table.commit(Change(), batch=table.batch)
        return clock()

    report = compact(rig, overtaken)

    assert report.tables[LOANS].skipped == "another run changed it at the same time"
    assert asked_by(rig)[LOANS] == WITH_FEATURE
    assert compact(rig).tables[LOANS].renewed


def test_a_run_that_opened_the_table_before_is_told_and_does_no_harm(rig: Rig) -> None:
    opened = loans(rig)
    compact(rig)

    with pytest.raises(OvertakenError):
        opened.commit(Change(), batch=4)

    assert asked_by(rig)[LOANS] == PLAIN


def test_doctor_names_the_tables_and_the_command(rig: Rig, tmp_path: Path) -> None:
    (hint,) = doctor(rig, tmp_path)
    assert (hint.outcome, LOANS in hint.found, "tidemark compact" in hint.advice) == ("hint", True, True)

    compact(rig)

    assert [each.outcome for each in doctor(rig, tmp_path)] == ["pass"]
