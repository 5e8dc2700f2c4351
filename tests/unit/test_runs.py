"""A run as the record of runs keeps it: its form as JSON, how it ended, and where it lies beside the pointer."""

import json
import logging
from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.disclosure import show_values
from tidemark.errors import ConfigError, DataError, OvertakenError, TransientError
from tidemark.objects import open_objects
from tidemark.runs import beside_pointer
from tidemark.runs.ending import LONGEST_MESSAGE, Ending, ending_of, family_of_code
from tidemark.runs.records import Beside, Records
from tidemark.runs.run import Run, StageRun, Verified

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RUN = Run("a1", "run", NOW, 1.5, 0, "ok")

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
seconds = st.floats(0, 1e6)
counts = st.integers(0, 10**12)
stages = st.builds(StageRun, texts, seconds, st.lists(counts, max_size=3).map(tuple), counts, counts)
runs = st.builds(
    Run,
    id=texts,
    command=texts,
    started_at=st.datetimes(datetime(2000, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001 -- hypothesis adds the zone
    seconds=seconds,
    exit_code=st.integers(0, 255),
    outcome=texts,
    message=texts,
    stages=st.lists(stages, max_size=3).map(tuple),
    verified=st.none() | st.builds(Verified, counts, counts, counts),
    announced=texts,
)


@pytest.fixture
def shown_values() -> Iterator[None]:
    show_values(wanted=True)
    yield
    show_values(wanted=False)


def made(days_ago: float, number: int = 0) -> Run:
    return replace(RUN, id=f"r{number}", started_at=NOW - timedelta(days=days_ago))


def away() -> str:
    raise TransientError("the warehouse is away")


@given(runs)
def test_a_run_survives_its_form_as_json(run: Run) -> None:
    assert Run.decode(run.encode()) == run


def test_a_stage_of_an_earlier_version_has_no_warnings() -> None:
    run = replace(RUN, stages=(StageRun("load", 1.0, (7,), 3),))
    members = json.loads(run.encode())
    del members["stages"][0]["warnings"]

    assert Run.decode(json.dumps(members)) == run


def test_a_member_of_a_later_version_is_ignored() -> None:
    assert Run.decode(json.dumps(json.loads(RUN.encode()) | {"weather": "fine"})) == RUN


@pytest.mark.parametrize("name", [each.name for each in fields(Run)])
def test_a_document_without_one_of_its_members_is_no_run(name: str) -> None:
    members = {key: value for key, value in json.loads(RUN.encode()).items() if key != name}

    with pytest.raises(ValueError, match=name):
        Run.decode(json.dumps(members))


@pytest.mark.parametrize(
    ("exc", "ending"),
    [
        (TransientError("away"), Ending(3, "TransientError", "away")),
        (OvertakenError("late"), Ending(6, "OvertakenError", "late")),
        (ValueError("bad\x1b[2J"), Ending(1, "unexpected", "ValueError: bad\\x1b[2J")),
        (SystemExit(143), Ending(143, "ended", "ended by signal 15")),
        (KeyboardInterrupt(), Ending(1, "ended", "")),
    ],
)
def test_an_error_is_the_ending_of_its_family(exc: BaseException, ending: Ending) -> None:
    assert ending_of(exc) == ending


def test_an_exit_code_names_its_family() -> None:
    names = [
        "ok",
        "unexpected",
        "ConfigError",
        "TransientError",
        "ContractError",
        "DataError",
        "StateError",
        "unexpected",
    ]

    assert [family_of_code(code) for code in range(8)] == names


@pytest.mark.usefixtures("shown_values")
def test_the_record_has_no_value_even_where_messages_show_them() -> None:
    exc = DataError("the server at db refuses 'Mrs. Smith' because of 1234.56")

    assert ending_of(exc).message == "the server at db refuses '…' because of …"


def test_a_message_that_is_too_long_is_cut() -> None:
    message = ending_of(DataError("x" * 5000)).message

    assert (len(message), message[-1]) == (LONGEST_MESSAGE, "…")


def test_runs_beside_the_pointer_come_newest_first_and_old_ones_go(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path / "pointer.json.runs"))
    for number, days_ago in enumerate([5, 100, 3, 4, 1, 2]):
        beside_pointer.keep(objects, "", made(days_ago, number), oldest=NOW - timedelta(days=90), most=4)

    assert [run.id for run in beside_pointer.newest(objects, "", 10)] == ["r4", "r5", "r2", "r3"]
    assert [run.id for run in beside_pointer.newest(objects, "", 2)] == ["r4", "r5"]


def test_what_is_no_run_is_passed_over(tmp_path: Path) -> None:
    objects = open_objects(str(tmp_path))
    for name, text in (("a.json", b"{}"), ("b.json", b"["), ("c.txt", b"x"), ("d.json", b"\xff")):
        objects.put_new(name, text)
    beside_pointer.keep(objects, "", RUN, oldest=NOW, most=10)

    assert beside_pointer.newest(objects, "", 10) == [RUN]


def test_a_run_is_kept_beside_the_pointer_while_the_warehouse_is_away(tmp_path: Path) -> None:
    records = Records(lambda: NOW, away, lambda: Beside(open_objects(str(tmp_path)), "runs/"))

    records.keep(RUN)

    assert records.newest() == [RUN]
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["2026-11-21T12-00-00.000000-a1.json"]


def test_a_run_that_found_the_warehouse_away_does_not_ask_it_again(tmp_path: Path) -> None:
    def asked() -> str:
        raise AssertionError

    records = Records(lambda: NOW, asked, lambda: Beside(open_objects(str(tmp_path))))

    records.keep(RUN, is_warehouse_away=True)

    assert replace(records, warehouse=None).newest() == [RUN]


def closed() -> Beside:
    raise ConfigError("the directory is closed")


def broken() -> Beside:
    raise ZeroDivisionError


@pytest.mark.parametrize("beside", [closed, broken, None])
def test_a_record_that_cannot_be_kept_is_a_warning(beside: object, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    records = Records(lambda: NOW, away, beside)  # type: ignore[arg-type]

    records.keep(RUN)

    levels = [each.levelname for each in caplog.records if "could not be recorded" in each.message]
    assert levels == ["WARNING"]


def test_without_any_place_nothing_is_kept() -> None:
    records = Records(lambda: NOW)

    records.keep(RUN)

    assert records.newest() == []


def test_a_record_that_somebody_altered_hides_nothing_else() -> None:
    def altered() -> Beside:
        raise TypeError("stages is no list")

    assert Records(lambda: datetime(2026, 11, 21, tzinfo=UTC), beside=altered).newest() == []
