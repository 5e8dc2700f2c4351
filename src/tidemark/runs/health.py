"""Health: what the places of a pipeline and its record of runs say together, as a colour with reasons in words."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Literal

from tidemark.runs.run import ENDED, OK, Run

Colour = Literal["green", "amber", "red"]
WORDS: Mapping[Colour, str] = {"green": "well", "amber": "needs attention", "red": "in trouble"}
# What brings batches onward. A person's backfill or rebuild that fails says nothing of the pipeline.
MOVING = ("run", "ingest", "transform", "load")
# Another run did what this one was to do.
OVERTAKEN = "OvertakenError"
DIFFERS = 5
# From this many times the limit on, what was late is in trouble.
TOO_LATE = 2
# A larger part of a table's rows than this is rather a fault of the model than of single values.
MOST_SET_ASIDE = 0.01


@dataclass(frozen=True)
class Vitals:
    """What is known of a pipeline.

    `limit` is how old the warehouse may be, and `fresh_as_of` up to when it holds what the source held. `away` has the
    places that cannot be asked, and `misfits` how places contradict themselves, by place. `runs` come newest first.
    `quarantine` counts open rows by table, `rows` the rows that the table took. `drift` says how the newest batch
    changed the shape of tables. `is_new` says that the log holds no batch. `unset` names the databases that no
    setting names.
    """

    now: datetime
    limit: timedelta
    fresh_as_of: datetime | None = None
    away: Mapping[str, str] = field(default_factory=dict)
    misfits: Mapping[str, str] = field(default_factory=dict)
    runs: Sequence[Run] = ()
    quarantine: Mapping[str, int] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    drift: Sequence[str] = ()
    is_new: bool = False
    unset: Collection[str] = ()


@dataclass(frozen=True)
class Health:
    """A colour, its word, and the reasons for it, the worst first; no reason means green."""

    colour: Colour
    word: str
    reasons: tuple[str, ...] = ()


def judged(vitals: Vitals) -> Health:
    """Judge a pipeline."""
    found = sorted(_signs(vitals), key=lambda sign: sign[0] != "red")
    if vitals.is_new and not vitals.runs:
        # Whatever is missing yet, nobody has lost anything.
        found = [("amber", reason) for reason in ("nothing has run yet", *(reason for _, reason in found))]
    colour = found[0][0] if found else "green"
    return Health(colour, WORDS[colour], tuple(reason for _, reason in found))


def is_failure(run: Run) -> bool:
    """Say whether a run failed: not one that another run overtook, and not one that somebody ended."""
    return run.outcome not in {OK, ENDED, OVERTAKEN}


def failed_runs(runs: Sequence[Run]) -> list[Run]:
    """Give the last run of each moving command, if it failed and no whole run went well since; newest first."""
    decided = [run for run in runs if run.command in MOVING and run.outcome not in {ENDED, OVERTAKEN}]
    last: dict[str, Run] = {}
    for run in decided:
        if run.command == "run" and run.outcome == OK:
            last.setdefault(run.command, run)
            break
        last.setdefault(run.command, run)
    return [run for run in last.values() if run.outcome != OK]


def _signs(vitals: Vitals) -> Iterator[tuple[Colour, str]]:
    for place, problem in vitals.misfits.items():
        yield "red", f"{place}: {problem}"
    for place, problem in vitals.away.items():
        # Without the source nobody loses anything yet: then the warehouse becomes late.
        yield "amber" if place == "source" else "red", f"the {place} cannot be asked: {problem}"
    for place in vitals.unset:
        yield "amber", f"no setting names the {place}, so nothing is known of it"
    for run in failed_runs(vitals.runs):
        yield "red", f"the last {run.command} failed at {_moment(run.started_at)}: {run.outcome}: {run.message}"
    verification = next((run for run in vitals.runs if run.command == "verify" and run.exit_code in {0, DIFFERS}), None)
    if verification and verification.exit_code:
        yield "red", f"the last verify, at {_moment(verification.started_at)}, found {verification.message}"
    yield from _lateness(vitals)
    much = [name for name, count in vitals.quarantine.items() if _is_much(count, vitals.rows.get(name, 0))]
    if much:
        counts = ", ".join(f"{name} {vitals.quarantine[name]:,}" for name in much)
        yield "amber", f"more than {MOST_SET_ASIDE:.0%} of the rows are set aside: {counts}"
    for change in vitals.drift:
        yield "amber", f"the source changed its shape in the newest batch: {change}"


def _lateness(vitals: Vitals) -> Iterator[tuple[Colour, str]]:
    if vitals.fresh_as_of is None:
        if "warehouse" not in vitals.unset and not (vitals.away or vitals.misfits or vitals.is_new):
            yield "amber", "the warehouse holds no batch yet"
        return
    age = vitals.now - vitals.fresh_as_of
    if age > vitals.limit:
        colour: Colour = "red" if age > TOO_LATE * vitals.limit else "amber"
        yield colour, f"the warehouse is late: it is {_minutes(age)} old, and {_minutes(vitals.limit)} are allowed"


def _is_much(count: int, taken: int) -> bool:
    return count > MOST_SET_ASIDE * (taken + count)


def _moment(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


def _minutes(age: timedelta) -> str:
    minutes = age.total_seconds() / 60
    return f"{minutes:,.0f} min" if minutes >= 1 else f"{age.total_seconds():.0f} s"
