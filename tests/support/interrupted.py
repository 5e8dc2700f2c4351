"""Runs that are killed at every fault point: what they begin with, what they are to end with, and the matrix of them.

    python -m tests.support.interrupted

measures how often a run and each other command passes each point, and writes the matrices into docs/promises.md.
"""

import shutil
import tempfile
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psycopg

from tests.support.commands import COMMANDS, harmed
from tests.support.kills import Addresses, contents, killed_at, unlike
from tests.support.postgres import Postgres, running_postgres
from tidemark.faults import EFFECTS, UPKEEP, watched
from tidemark.lake.spark_rows import DUCKDB
from tidemark.model_reader import load_model
from tidemark.warehouse.schema import init

PROMISES = Path(__file__).parents[2] / "docs" / "promises.md"
BEGIN, END = "<!-- fault matrix: begin -->\n", "<!-- fault matrix: end -->\n"
BEGIN_COMMANDS, END_COMMANDS = "<!-- fault matrix of commands: begin -->\n", "<!-- fault matrix of commands: end -->\n"
MODELS = Path(__file__).parent.parent / "models"
# On S3 a small model, because there each step takes long.
CLINIC, LIBRARY = MODELS / "clinic", MODELS / "library"
# Two effects that the clinic's own activity does not have: a column that appears, rows that the star cannot take.
MORE_ACTIVITY = """
    alter table ward add column floor integer;
    update registry.patient set born = 'infinity' where patient_no = 9000000012;
    update referral set closed_on = '-infinity' where referral_id = md5('referral 12')::uuid;
"""
LATER = (
    # The star has two decimals: the row is set aside.
    "alter table loan alter fee type numeric(12, 4)",
    "update loan set fee = 1.2345, changed = '2024-11-05 09:00' where loan_id = 40",
)
UNSTAMPED = "update loan set fee = 7 where loan_id = 50"
BASELINE, INCREMENT = RUNS = ("baseline", "increment")
FIRST_TIME, LATER_TIMES = "the first time", "the second and the last time"
# Where a run commits on S3; what lies between is the same code as on a directory.
COMMITS = {
    BASELINE: ("manifest", "processed-manifest", "warehouse-commit"),
    INCREMENT: (
        "manifest",
        "latest-commit",
        "pointer",
        "dimension-commit",
        "fact-commit",
        "processed-manifest",
        "warehouse-commit",
    ),
}


@dataclass(frozen=True)
class Start:
    """What lies there before a run: the lake's folder, with the pointer in it, and the name of the warehouse."""

    folder: Path
    warehouse: str


@dataclass(frozen=True)
class Run:
    """A run that nobody killed: what it began with, the fault points as it passed them, what it left behind."""

    start: Start
    passed: Sequence[str]
    expected: Mapping[str, Any]

    @property
    def passes(self) -> Mapping[str, int]:
        """Say how often it passed each point."""
        return Counter(self.passed)

    def before(self, point: str) -> str:
        """Name the point that it passed just before its first time at another one, and which time that was."""
        at = self.passed.index(point)
        before = self.passed[at - 1]
        return f"{before}:{self.passed[:at].count(before)}"


class Copies:
    """Pipelines to kill: each on copies of a lake and a warehouse, all on the one source, which no run changes."""

    def __init__(self, postgres: Postgres, model: Path, source_url: str, folder: Path) -> None:
        self._postgres, self._model, self._source_url, self._folder = postgres, model, source_url, folder
        self._databases: list[str] = []

    def of(self, start: Start) -> Addresses:
        """Copy what lies there before a run."""
        self._databases.append(self._postgres.create(start.warehouse))
        folder = self._folder / self._databases[-1]
        if start.folder.exists():
            shutil.copytree(start.folder, folder)
        warehouse_url = self._postgres.url(self._databases[-1])
        return Addresses(str(self._model), self._source_url, warehouse_url, str(folder), f"{folder}/pointer.json")

    def kept(self, site: Addresses) -> Start:
        """Take what a pipeline has made for what the next run begins with."""
        folder = Path(site.place)
        return Start(folder, self._postgres.create(folder.name))

    def drop(self) -> None:
        """Drop the warehouses."""
        for database in self._databases:
            self._postgres.drop(database)


def new_source(postgres: Postgres, model: Path) -> str:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            for name in ("schema.sql", "rows.sql"):
                connection.execute((model / name).read_bytes())

    return postgres.url(postgres.create(postgres.template(model.name, build)))


def new_warehouse(postgres: Postgres, model: Path) -> str:
    return postgres.template(f"{model.name}_warehouse", lambda url: init(url, load_model(str(model))))


def apply_activity(url: str, model: Path) -> None:
    with psycopg.connect(url) as connection:
        connection.execute((model / "activity.sql").read_bytes())
        if model == CLINIC:
            connection.execute(MORE_ACTIVITY.encode())


def both_runs(postgres: Postgres, model: Path, source_url: str, folder: Path) -> dict[str, Run]:
    """Do both runs on directories; the baseline is of the source after its activity, the increment finds it."""
    copies = Copies(postgres, model, source_url, folder)
    empty = Start(folder / "empty", new_warehouse(postgres, model))
    filled = copies.of(empty)
    filled.rig().run()
    apply_activity(source_url, model)
    return {run: uninterrupted(copies, start) for run, start in zip(RUNS, (empty, copies.kept(filled)), strict=True)}


def uninterrupted(copies: Copies, start: Start, runs_on: str = DUCKDB) -> Run:
    passed: list[str] = []
    rig = replace(copies.of(start), runs_on=runs_on).rig()
    with watched(passed.append):
        rig.run()
    return Run(start, passed, contents(rig))


def times_to_kill(passes: int) -> list[int]:
    """Return which of so many passes of a point to kill at: the first, the second, the last."""
    return [nth for nth in range(1, passes + 1) if nth in {1, 2, passes}]


def assert_made_good(copies: Copies, run: Run, point: str, times: str, runs_on: str = DUCKDB) -> None:
    """Kill runs at a point, the first time that they pass it or later, and compare what the next run makes of each."""
    for nth in times_to_kill(run.passes.get(point, 0)):
        if (nth == 1) != (times == FIRST_TIME):
            continue
        site = replace(copies.of(run.start), runs_on=runs_on)
        assert killed_at(site, f"{point}:{nth}")

        rig = site.rig()
        rig.run()

        assert unlike(run.expected, contents(rig)) == {}, nth


def matrix(passes: Mapping[str, Mapping[str, int]]) -> str:
    """Write the table of all points as docs/promises.md shows it; `passes` counts them in each run."""
    lines = ["| killed before and after | baseline | increment | on S3 | outcome |", "|---|---:|---:|---:|---|"]
    total: Counter[str] = Counter()
    for name, effect in EFFECTS.items():
        kills = {run: 2 * len(times_to_kill(passes[run].get(f"before-{name}", 0))) for run in RUNS}
        kills["on S3"] = 2 * sum(name in commits for commits in COMMITS.values())
        total.update(kills)
        counts = " | ".join(str(count or "") for count in kills.values())
        lines.append(f"| `{name}`: {effect} | {counts} | equal |")
    lines.append(f"| all | {' | '.join(map(str, total.values()))} | equal |")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class Site:
    """A library's pipeline before a command, its source, and a copy of the source under another name."""

    start: Start
    source_url: str
    moved_url: str


def before_commands(postgres: Postgres, folder: Path) -> Site:
    """Make a library's pipeline with a row in quarantine and a change that its next run finds."""
    source_url = new_source(postgres, LIBRARY)
    copies = Copies(postgres, LIBRARY, source_url, folder)
    filled = copies.of(Start(folder / "empty", new_warehouse(postgres, LIBRARY)))
    rig = filled.rig()
    rig.run()
    apply_activity(source_url, LIBRARY)
    rig.run()
    rig.change(*LATER)
    rig.run()
    rig.change(UNSTAMPED)
    name = rig.source("select current_database()")[0][0]
    return Site(copies.kept(filled), source_url, postgres.url(postgres.create(name)))


def copy_for(command: str, site: Site, copies: Copies) -> Addresses:
    """Copy the pipeline as it is before a command."""
    copy = copies.of(site.start)
    harmed(command, copy.rig())
    return replace(copy, source_url=site.moved_url) if command == "init --new-source" else copy


@dataclass(frozen=True)
class Done:
    """A command that nobody killed: how often it passed each fault point, and what the next run left behind."""

    passes: Mapping[str, int]
    contents: Mapping[str, Any]


def each_done(postgres: Postgres, site: Site, folder: Path) -> dict[str, Done]:
    """Give every command, uninterrupted; `run` is the next run without any command."""
    copies = Copies(postgres, LIBRARY, site.source_url, folder)
    found = {}
    for name in ("run", *COMMANDS):
        rig = copy_for(name, site, copies).rig()
        passed: list[str] = []
        if name != "run":
            with watched(passed.append):
                COMMANDS[name](rig)
        rig.run()
        found[name] = Done(Counter(passed), contents(rig))
    copies.drop()
    return found


def command_matrix(done: Mapping[str, Done]) -> str:
    """Write the table of the commands beside `run`."""
    lines = ["| command | killed before and after | kills | outcome |", "|---|---|---:|---|"]
    names = [*EFFECTS, *UPKEEP]
    total = 0
    for command in COMMANDS:
        passed = done[command].passes
        effects = sorted({point.partition("-")[2] for point in passed}, key=names.index)
        kills = sum(len({1, times}) for times in passed.values())
        total += kills
        lines.append(f"| `{command}` | {', '.join(f'`{name}`' for name in effects)} | {kills} | equal |")
    return "\n".join([*lines, f"| all | | {total} | equal |"]) + "\n"


def main() -> None:
    """Write the two matrices into docs/promises.md."""
    with running_postgres() as postgres, tempfile.TemporaryDirectory() as folder:
        runs = both_runs(postgres, CLINIC, new_source(postgres, CLINIC), Path(folder) / "runs")
        done = each_done(postgres, before_commands(postgres, Path(folder) / "before"), Path(folder) / "done")
    _put(BEGIN, END, matrix({run: found.passes for run, found in runs.items()}))
    _put(BEGIN_COMMANDS, END_COMMANDS, command_matrix(done))


def _put(begin: str, end: str, table: str) -> None:
    before, _, rest = PROMISES.read_text("utf-8").partition(begin)
    PROMISES.write_text(before + begin + table + end + rest.partition(end)[2], "utf-8")


if __name__ == "__main__":
    main()
