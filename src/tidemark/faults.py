"""Fault points: places between two effects where a test can end the process, as a power cut would.

A kill runs no `finally`, closes no file and ends no transaction. So a run that is killed at a point leaves behind what
a crash there would. Only a test arms a point; a point that is not armed costs one look-up in an empty dictionary.
"""

import itertools
import os
import signal
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from tidemark.errors import ConfigError

# Everything that a run changes outside its own memory and scratch directory, in the order in which a run does it. The
# other commands have most of these effects too.
EFFECTS: Mapping[str, str] = {
    "latest-table": "creation of a table of latest",
    "latest-columns": "a column more in a table of latest",
    "log-object": "put of an object of the log",
    "latest-file": "put of a data file of latest",
    "manifest": "put of the batch's manifest: the batch exists",
    "latest-commit": "Delta commit to a table of latest",
    "sums": "put of the sums of latest",
    "pointer": "write of the pointer",
    "quarantine-file": "put of the rows that a star table cannot take, or takes up again",
    "dimension-table": "creation of a dimension in the lake",
    "dimension-file": "put of a data file of a dimension",
    "dimension-commit": "Delta commit to a dimension",
    "fact-table": "creation of a fact in the lake",
    "fact-file": "put of a data file of a fact",
    "fact-commit": "Delta commit to a fact",
    "processed-manifest": "put of the processed manifest: the batch is transformed",
    "copy": "COPY of a table's rows into the warehouse",
    "upsert": "insert and update of a dimension's rows in the warehouse",
    "close-versions": "closing of the versions that new ones supersede",
    "insert-versions": "insert of the new versions",
    "ledger-row": "insert of the ledger row",
    "warehouse-commit": "COMMIT in the warehouse: the batch is loaded",
}
# What the other commands do: compact, rebuild and init. A run has the removal of old sums too.
UPKEEP: Mapping[str, str] = {
    "old-files": "removal of the files of a table that nothing needs any more",
    "orphans": "removal of the objects of the log that are part of no batch",
    "old-sums": "removal of sums of latest that no longer hold",
    "broken-log": "removal of a Delta log that cannot be read",
    "rebuild-record": "put of the record of a rebuild of the star",
    "tables-commit": "COMMIT of the warehouse's tables",
}
# What Spark does for a run whose SELECTs it runs; it changes nothing outside the run's scratch directory.
BY_SPARK: Mapping[str, str] = {"spark-rows": "rows of a SELECT that Spark writes for the run"}
POINTS = tuple(f"{moment}-{name}" for name in (*EFFECTS, *UPKEEP, *BY_SPARK) for moment in ("before", "after"))
# What a key or a table's folder begins with, and how the names of the effects on it begin.
FOLDERS: Mapping[str, str] = {
    "baseline": "log",
    "changes": "log",
    "latest": "latest",
    "dimension": "dimension",
    "fact": "fact",
    # The tables of a mirror are facts.
    "mirror": "fact",
    "quarantine": "quarantine",
}

_watchers: dict[str, Callable[[], None]] = {}


def reach(point: str) -> None:
    """Pass a fault point."""
    watcher = _watchers.get(point)
    if watcher:
        watcher()


@contextmanager
def effect(name: str) -> Iterator[None]:
    """Pass the points before and after an effect; the second one only if the effect succeeded."""
    reach(f"before-{name}")
    yield
    reach(f"after-{name}")


@contextmanager
def effect_on(path: str, what: str) -> Iterator[None]:
    """Pass the points around an effect (`object`, `file`, `commit`, …) on a key or a table's folder."""
    folder = FOLDERS.get(path.partition("/")[0])
    if folder is None:
        # This is a manifest, and its name alone does not say which bucket it is in.
        yield
        return
    with effect(f"{folder}-{'object' if folder == 'log' else what}"):
        yield


def arm(fault: str) -> None:
    """End this process by SIGKILL when it reaches a point, given as `<point>` or `<point>:<n>` for the n-th time.

    Raises:
        ConfigError: there is no such point.
    """
    point, _, nth = fault.partition(":")
    if point not in POINTS or not (nth or "1").isdecimal():
        message = f"there is no fault point {fault!r}"
        raise ConfigError(message, advice=f"there are {', '.join(POINTS)}")
    passed = itertools.count(1)

    def die() -> None:
        # Stages write from several threads; next() on a count is one step for the interpreter, so it needs no lock.
        if next(passed) == int(nth or "1"):
            os.kill(os.getpid(), signal.SIGKILL)

    _watchers[point] = die


@contextmanager
def watched(passed: Callable[[str], None]) -> Iterator[None]:
    """Call `passed` with the name of each point that is reached within the block."""
    _watchers.update({point: (lambda point=point: passed(point)) for point in POINTS})  # type: ignore[misc]
    try:
        yield
    finally:
        _watchers.clear()
