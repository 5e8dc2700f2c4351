"""A second, unrelated model through the same engine: composite, text and uuid keys, zones, a table without a stamp."""

import datetime as dt
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import psycopg
import pytest

from tests.support.pipeline import Rig, as_text, clock, differences, rigs
from tests.support.postgres import Postgres
from tidemark.verification.verify import Verify

CLINIC = Path(__file__).parent.parent / "models" / "clinic"
ORACLE = Path(__file__).parent.parent / "support" / "clinic_oracle"
MICROSECOND = dt.timedelta(microseconds=1)
NULL = r"\N"  # as COPY writes it
# How many columns the key has, by which oracle and source name a row.
KEYS = {"dim_day": 1, "dim_patient": 1, "dim_ward": 1, "dim_clinician": 1, "fact_treatment": 3, "fact_referral": 1}
# A fact's rows in the source: key, when each says that it changed (UTC), and all of it.
DRIVING = {
    "fact_treatment": (
        "select patient_no, given_on, line, timezone('UTC', timezone('Europe/London', changed)), t::text "
        "from treatment as t"
    ),
    "fact_referral": "select referral_id, timezone('UTC', altered_at), t::text from referral as t",
}

Text: TypeAlias = tuple[str, ...]


@dataclass(frozen=True)
class State:
    """What a run saw: plain SQL's view of the source, the facts' rows there with their stamps, and what is current."""

    batch: int
    captured_at: dt.datetime
    oracle: Mapping[str, Mapping[Text, Text]]
    driving: Mapping[str, Mapping[Text, Text]]
    current: Mapping[str, Sequence[Text]]


@dataclass(frozen=True)
class Version:
    """What one version of a fact is to be."""

    columns: Text
    valid_from: dt.datetime
    is_deleted: bool
    batch: int
    valid_to: dt.datetime | None = None

    def as_text(self) -> Text:
        """Return the row that COPY writes of it, without the surrogate key."""
        times = [NULL if moment is None else as_postgres(moment) for moment in (self.valid_from, self.valid_to)]
        return (*self.columns, times[0], "t" if self.is_deleted else "f", str(self.batch), times[1])


def as_postgres(moment: dt.datetime) -> str:
    text = moment.isoformat(" ", "microseconds")
    return text.rstrip("0").rstrip(".") if moment.microsecond else text[:19]


@dataclass(frozen=True)
class Clinic:
    """The pipeline after all of the activity, and what each of its runs saw."""

    rig: Rig
    states: list[State]


@pytest.fixture(scope="module")
def clinic(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Clinic]:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            for name in ("schema.sql", "rows.sql"):
                connection.execute((CLINIC / name).read_bytes())

    with rigs(postgres, str(tmp_path_factory.mktemp("clinic"))) as create:
        rig = create(postgres.template("clinic", build), model=str(CLINIC))
        states = []
        for part in ["", *(CLINIC / "activity.sql").read_text("utf-8").split("-- batch:")[1:]]:
            rig.change(f"--{part}")
            rig.run()
            states.append(look(rig))
        yield Clinic(rig, states)


def look(rig: Rig) -> State:
    """Take note of the source as the last run found it, and of what the warehouse shows then."""
    manifest = rig.newest()
    return State(
        batch=manifest.batch,
        captured_at=manifest.captured_at.replace(tzinfo=None),
        oracle={star: keyed(rig, star, (ORACLE / f"{star}.sql").read_text("utf-8")) for star in KEYS},
        driving={fact: keyed(rig, fact, query) for fact, query in DRIVING.items()},
        current={fact: as_text(rig.warehouse_url, f"select * from {fact}_current") for fact in DRIVING},
    )


def keyed(rig: Rig, star: str, query: str) -> dict[Text, Text]:
    return {row[: KEYS[star]]: row for row in as_text(rig.source_url, query)}


def histories(states: Sequence[State], fact: str) -> dict[Text, list[Version]]:
    """Fold what the runs saw into the versions of each key, by the rules of `valid_from`."""
    found: dict[Text, list[Version]] = {}
    before: Mapping[Text, Text] = {}
    for state in states:
        now = state.driving[fact]
        for key in now.keys() | before.keys():
            row, versions = now.get(key), found.setdefault(key, [])
            if row == before.get(key):
                continue
            stamp = None if row is None or row[-2] == NULL else dt.datetime.fromisoformat(row[-2])
            begin = state.captured_at if stamp is None or stamp > state.captured_at else stamp
            if versions and begin <= versions[-1].valid_from:
                begin = max(state.captured_at, versions[-1].valid_from + MICROSECOND)
            columns = state.oracle[fact][key] if row else versions[-1].columns
            if versions:
                versions[-1] = replace(versions[-1], valid_to=begin)
            versions.append(Version(columns, begin, row is None, state.batch))
        before = now
    return found


def test_each_part_of_the_activity_is_a_batch(clinic: Clinic) -> None:
    assert [state.batch for state in clinic.states] == [1, 2, 3, 4, 5]
    assert clinic.rig.ledger() == [1, 2, 3, 4, 5]


@pytest.mark.parametrize("star", ["dim_day", "dim_patient", "dim_ward", "dim_clinician"])
def test_a_dimension_holds_the_latest_values_of_all_rows_that_ever_were(clinic: Clinic, star: str) -> None:
    expected: dict[Text, Text] = {}
    for state in clinic.states:
        expected.update(state.oracle[star])

    assert differences(list(expected.values()), as_text(clinic.rig.warehouse_url, f"table {star}")) == ([], [])


@pytest.mark.parametrize("fact", DRIVING)
def test_a_fact_has_a_version_for_each_state_that_a_run_saw(clinic: Clinic, fact: str) -> None:
    expected = [version.as_text() for versions in histories(clinic.states, fact).values() for version in versions]
    found = [row[1:] for row in as_text(clinic.rig.warehouse_url, f"table {fact}")]

    assert differences(expected, found) == ([], [])


@pytest.mark.parametrize("fact", DRIVING)
def test_the_current_rows_are_those_of_the_source_after_each_run(clinic: Clinic, fact: str) -> None:
    for count, state in enumerate(clinic.states, start=1):
        versions = [versions[-1] for versions in histories(clinic.states[:count], fact).values()]
        expected = [version.as_text() for version in versions if not version.is_deleted]
        assert differences(expected, [row[1:] for row in state.current[fact]]) == ([], []), state.batch
        assert len(expected) == len(state.driving[fact])


@pytest.mark.parametrize("fact", DRIVING)
def test_as_of_shows_what_each_run_saw(clinic: Clinic, fact: str) -> None:
    for state, following in pairwise(clinic.states):
        moment = following.captured_at - MICROSECOND
        shown = clinic.rig.warehouse(f"select * from {fact}_as_of(%s)", [moment])
        expected = [
            version
            for versions in histories(clinic.states, fact).values()
            for version in versions
            if version.valid_from <= moment and (version.valid_to is None or moment < version.valid_to)
        ]
        assert len(shown) == sum(not version.is_deleted for version in expected), state.batch


def test_a_surrogate_key_is_the_ordinal_of_the_change(clinic: Clinic) -> None:
    for fact, table in (("fact_treatment", "treatment"), ("fact_referral", "referral")):
        lines = list(clinic.rig.lines(table))
        names = clinic.rig.model.sources[table].key
        expected = [tuple(str(line[name]) for name in names) for line in lines]
        star = clinic.rig.model.stars[fact]
        listed = ", ".join(f"{name}::text" for name in star.source_key)
        found = clinic.rig.warehouse(f"select {star.key[0]}, {listed} from {fact} order by 1")
        assert found == [(number, *key) for number, key in enumerate(expected, start=1)]


def test_an_hour_that_comes_twice_is_read_as_its_second(clinic: Clinic) -> None:
    rows = clinic.rig.warehouse(
        "select changed, valid_from from fact_treatment"
        " where batch_id = 1 and changed between '2024-10-27 01:00' and '2024-10-27 01:59:59' order by 1"
    )

    assert len(rows) == 18
    assert [valid_from for _, valid_from in rows] == [changed for changed, _ in rows]


def test_a_row_without_a_stamp_begins_when_it_was_found(clinic: Clinic) -> None:
    rows = clinic.rig.warehouse("select distinct valid_from from fact_treatment where batch_id = 1 and changed is null")

    assert rows == [(clinic.states[0].captured_at,)]


def test_keys_are_kept_as_they_are(clinic: Clinic) -> None:
    wards = {ward for (ward,) in clinic.rig.warehouse("select ward_code from dim_ward")}
    before, after = (clinic.rig.versions("fact_treatment", 9000000041, "2024-11-02", line) for line in (2, 1001))

    assert wards == {"A&E", "ICU", "ICU-2", "Ä-1", "O'N", "a b", "007", "7", "null", "\\N", "Z"}
    assert [version["is_deleted"] for version in before] == [False, True]
    assert [version["is_deleted"] for version in after] == [False]


def test_a_table_without_a_stamp_is_swept(clinic: Clinic) -> None:
    assert clinic.rig.model.sources["patient"].updated is None
    assert clinic.rig.warehouse("select insured from dim_patient where patient_no = 9000000001") == [(False,)]


def test_the_laws_of_the_model_are_kept(clinic: Clinic) -> None:
    assert clinic.rig.broken_laws() == {}


def test_source_latest_star_and_warehouse_are_proven_equal(clinic: Clinic) -> None:
    rig = clinic.rig
    places = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)
    found = Verify(*places, clock).run(deep=True)

    assert [edge.skipped for edge in found.edges] == [""] * 7
    assert [table for edge in found.edges for table in edge.tables if not table.is_proven] == []


def test_a_further_run_writes_nothing(clinic: Clinic) -> None:
    objects = clinic.rig.objects()

    assert [report.batches for report in clinic.rig.run()] == [(), (), ()]
    assert clinic.rig.objects() == objects
