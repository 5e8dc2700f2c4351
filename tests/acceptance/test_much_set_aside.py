"""A run that sets aside a good part of a table's rows says so at its end."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.library import after_two_batches
from tests.support.pipeline import Rig
from tidemark.cli import run
from tidemark.runs.run import Run

TOO_LARGE = "update loan set fee = 99999999999 where loan_id between {} and {}"


def test_a_run_that_sets_aside_much_says_so_and_ends_with_7_if_asked(
    kept_rig: Callable[..., Rig],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rig = kept_rig("library after two batches", after_two_batches)
    rig.change("alter table loan alter fee type numeric(14, 2)", TOO_LARGE.format(100, 110))
    rig.ingest()
    lake = tmp_path / "lake"
    flags = ["--ingestion", str(lake / "ingestion"), "--processed", str(lake / "processed")]
    transform = ["transform", "--model", str(rig.model.directory), *flags]

    assert run([*transform, "--fail-on-quarantine", "--pointer", str(tmp_path / "pointer.json")]) == 7
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("fact_loan: 11 of 1")
    assert said.endswith("are missing there: see tidemark quarantine list")
    [record] = (tmp_path / "pointer.json.runs").glob("*.json")
    found = Run.decode(record.read_bytes())
    assert (found.exit_code, found.outcome, found.message) == (7, "quarantine", said)

    monkeypatch.chdir(tmp_path)
    assert run([*transform, "--fail-on-quarantine"]) == 0
    rig.change(TOO_LARGE.format(120, 120))
    rig.ingest()
    assert run(transform) == 0
    assert "fact_loan: 1 of 1 rows were set aside (100%)" in capsys.readouterr().err
