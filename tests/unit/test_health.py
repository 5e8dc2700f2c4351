"""The health of a pipeline, judged from its places and its record of runs, and what the webhook is told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.runs.announcing import PAUSE, Announcement, Subject, due, message
from tidemark.runs.health import Health, Vitals, failed_runs, judged
from tidemark.runs.run import Run

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
LIMIT = timedelta(minutes=30)
WELL = Vitals(NOW, LIMIT, NOW - timedelta(minutes=5), runs=(Run("a", "run", NOW, 1.0, 0, "ok"),))


def a_run(outcome: str, *, command: str = "run", minutes_ago: float = 5, message: str = "why", code: int = 3) -> Run:
    moment = NOW - timedelta(minutes=minutes_ago)
    return Run("x", command, moment, 1.0, 0 if outcome == "ok" else code, outcome, message)


def test_a_pipeline_of_which_nothing_bad_is_known_is_green() -> None:
    assert judged(WELL) == Health("green", "well")


@pytest.mark.parametrize(
    ("changes", "colour", "reason"),
    [
        ({"fresh_as_of": NOW - timedelta(minutes=31)}, "amber", "the warehouse is late: it is 31 min old, and 30 min"),
        ({"fresh_as_of": NOW - timedelta(minutes=61)}, "red", "the warehouse is late: it is 61 min old"),
        (
            {"runs": [a_run("TransientError")]},
            "red",
            "the last run failed at 2026-11-21 11:55 UTC: TransientError: why",
        ),
        ({"runs": [a_run("quarantine")]}, "red", "the last run failed"),
        ({"runs": [a_run("ok"), a_run("DataError", command="verify", code=5)]}, "red", "the last verify, at 2026"),
        (
            {"quarantine": {"fact_loan": 2}, "rows": {"fact_loan": 98}},
            "amber",
            "more than 1% of the rows are set aside",
        ),
        ({"drift": ["loan has a new column"]}, "amber", "the source changed its shape in the newest batch: loan has"),
        ({"away": {"source": "gone"}}, "amber", "the source cannot be asked: gone"),
        ({"away": {"warehouse": "gone"}}, "red", "the warehouse cannot be asked: gone"),
        ({"unset": ["warehouse"], "fresh_as_of": None}, "amber", "no setting names the warehouse"),
        ({"misfits": {"pointer": "ahead"}}, "red", "pointer: ahead"),
        ({"fresh_as_of": None}, "amber", "the warehouse holds no batch yet"),
        ({"fresh_as_of": None, "runs": (), "is_new": True}, "amber", "nothing has run yet"),
        ({"fresh_as_of": None, "runs": (), "is_new": True, "away": {"warehouse": "no tables"}}, "amber", "nothing has"),
    ],
)
def test_each_sign_has_its_colour_and_its_reason(changes: dict[str, object], colour: str, reason: str) -> None:
    found = judged(replace(WELL, **changes))  # type: ignore[arg-type]

    assert found.colour == colour
    assert found.reasons[0].startswith(reason)


@pytest.mark.parametrize(
    "changes",
    [
        {"runs": [a_run("ok"), a_run("TransientError", minutes_ago=9)]},
        {"runs": [a_run("ended", code=143), a_run("OvertakenError", code=6), a_run("ok")]},
        {"runs": [a_run("ok"), a_run("ConfigError", command="backfill")]},
        {"runs": [a_run("ok", command="verify"), a_run("DataError", command="verify", code=5)]},
        {"runs": [a_run("TransientError", command="verify"), a_run("ok", command="verify")]},
        {"runs": [a_run("ok"), a_run("TransientError", command="load", minutes_ago=9)]},
        {"quarantine": {"fact_loan": 1}, "rows": {"fact_loan": 99}},
    ],
)
def test_what_is_over_or_small_is_no_sign(changes: dict[str, object]) -> None:
    assert judged(replace(WELL, **changes)).colour == "green"  # type: ignore[arg-type]


def test_a_stage_that_fails_shows_though_the_stages_after_it_go_well() -> None:
    runs = [a_run("ok", command="load"), a_run("ok", command="transform"), a_run("ContractError", command="ingest")]

    assert [run.command for run in failed_runs(runs)] == ["ingest"]


def test_the_worst_reason_comes_first() -> None:
    found = judged(replace(WELL, away={"source": "gone", "warehouse": "gone"}))

    assert [reason.split()[1] for reason in found.reasons] == ["warehouse", "source"]


@given(st.lists(st.tuples(st.sampled_from(["ok", "TransientError", "ended", "OvertakenError"]), st.integers(0, 5000))))
def test_failures_are_told_an_hour_apart_and_each_recovery_follows_a_failure(story: list[tuple[str, int]]) -> None:
    last: Announcement | None = None
    told, now = [], NOW
    for outcome, seconds in story:
        now += timedelta(seconds=seconds)
        found = due(a_run(outcome), last, now)
        if found:
            told.append((found.event, now))
            assert (found.event == "recovery") == (outcome == "ok")
            assert found.number == len(told)
            last = Announcement.decode(found.encode("x"))

    failures = [moment for event, moment in told if event == "failure"]
    events = [event for event, _ in told]
    assert all(later - earlier >= PAUSE for earlier, later in pairwise(failures))
    assert all(before == "failure" for before, after in pairwise(["none", *events]) if after == "recovery")


def test_what_a_chat_would_obey_is_shown_as_it_is() -> None:
    found = message("failure", a_run("DataError", message="<!channel> & @here"), Subject("shop", "db/shop"))

    assert str(found["text"]).endswith("DataError: &lt;!channel&gt; &amp; @\u200bhere")
    assert found["run"]["message"] == "<!channel> & @here"  # type: ignore[index]
