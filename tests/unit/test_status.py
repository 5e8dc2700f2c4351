"""What status concludes from how far each place is."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tidemark.cli.app import app
from tidemark.log.pointer import Pointer
from tidemark.status import Place, fresh_as_of, next_steps

CAPTURED = datetime(2024, 11, 14, 10, tzinfo=UTC)
CHECKED = CAPTURED + timedelta(hours=1)
NOTHING = Place(batch=0)
AWAY = Place(problem="no route")


def at(batch: int) -> Place:
    return Place(batch=batch, captured_at=CAPTURED)


def pointer(batch: int) -> Pointer:
    return Pointer("1b4e28ba-2fa1-11d2-883f-0016d3cca427", batch, CAPTURED, CHECKED)


def test_a_first_run_reads_everything() -> None:
    assert next_steps(Place(), NOTHING, NOTHING, NOTHING, NOTHING, watermark=None) == (
        "ingest: read every table whole, as batch 1",
        "transform: only what this run brings",
        "load: only what this run brings",
    )


def test_what_lags_behind_is_named_batch_by_batch() -> None:
    assert next_steps(Place(), at(5), at(5), at(4), at(2), watermark=CAPTURED) == (
        "ingest: poll the source (the rows changed since 2024-11-14 10:00:00 UTC, and the sweep) for batch 6",
        "transform: batch 5",
        "load: batches 3 to 4",
    )


def test_a_pointer_behind_the_log_is_recovered_first() -> None:
    assert next_steps(Place(), at(5), at(4), at(5), at(5), watermark=CAPTURED)[0] == (
        "recover: bring the pointer and latest from batch 4 to 5"
    )


def test_what_is_away_is_waited_for() -> None:
    assert next_steps(AWAY, at(5), at(5), at(5), AWAY, watermark=CAPTURED) == (
        "ingest: wait for the source, which cannot be asked",
        "transform: only what this run brings",
        "load: wait for the warehouse, which cannot be asked",
    )


def test_without_the_log_nothing_is_known() -> None:
    assert next_steps(Place(), AWAY, NOTHING, at(1), at(1), watermark=None) == (
        "fail, because the change log cannot be read",
    )


def test_a_pointer_that_does_not_belong_to_the_log_fails_before_anything_else() -> None:
    assert next_steps(Place(), NOTHING, Place(batch=3, misfit="why"), at(3), at(3), watermark=None) == (
        "fail, because why",
    )
    assert next_steps(Place(), at(3), AWAY, at(3), at(3), watermark=None) == (
        "fail, because the pointer cannot be read",
    )


def test_a_warehouse_ahead_of_the_star_fails() -> None:
    assert next_steps(Place(), at(5), at(5), at(5), at(7), watermark=CAPTURED)[-1] == (
        "load: fail, because it has batch 7 and the star ends with 5; tidemark rebuild warehouse takes it back"
    )


def test_a_warehouse_with_all_batches_is_as_fresh_as_the_last_poll() -> None:
    assert fresh_as_of(at(5), at(5), pointer(5)) == CHECKED


def test_a_warehouse_that_lags_is_as_fresh_as_its_newest_batch() -> None:
    assert fresh_as_of(at(6), at(5), pointer(6)) == CAPTURED
    assert fresh_as_of(at(5), at(5), None) == CAPTURED


def test_an_empty_or_absent_warehouse_has_no_freshness() -> None:
    assert fresh_as_of(at(5), NOTHING, pointer(5)) is None
    assert fresh_as_of(at(5), AWAY, pointer(5)) is None


def test_a_place_that_cannot_be_asked_is_shown_with_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pointer.json").write_text("{")
    for name in ("ingestion", "processed"):
        (tmp_path / name / "batches").mkdir(parents=True)
        (tmp_path / name / "batches" / "0000000001.json").write_text("{")
    places = ["--ingestion", "ingestion", "--processed", "processed", "--pointer", "pointer.json"]
    urls = ["--source-url", "postgresql://127.0.0.1:1/x", "--warehouse-url", "postgresql://127.0.0.1:1/x"]

    app(["status", *places, *urls], standalone_mode=False)
    shown = capsys.readouterr().out.splitlines()
    app(["status", "--json", *places, *urls], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)

    for name, place in {
        "source": "source",
        "change log": "log",
        "pointer": "pointer",
        "star": "processed",
        "warehouse": "warehouse",
    }.items():
        at = shown.index(f"{name} cannot be asked: {found[place]['problem']}")
        assert found[place]["advice"]
        assert shown[at + 1].strip() == f"what to do: {found[place]['advice']}"
