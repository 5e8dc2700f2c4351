"""A command beside `run` that is killed at any step, and given again, does what it would have done at once."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.support.commands import COMMANDS
from tests.support.interrupted import (
    BEGIN_COMMANDS,
    END_COMMANDS,
    LIBRARY,
    PROMISES,
    Copies,
    Done,
    Site,
    before_commands,
    command_matrix,
    copy_for,
    each_done,
)
from tests.support.kills import contents, killed_at, unlike
from tests.support.postgres import Postgres
from tidemark.faults import UPKEEP

# What a command makes that was not there before it; the others leave what a run alone would leave.
MAKES_A_BATCH = ("backfill", "quarantine replay", "init --new-source")


@pytest.fixture(scope="module")
def site(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Site:
    return before_commands(postgres, tmp_path_factory.mktemp("commands"))


@pytest.fixture
def copies(postgres: Postgres, site: Site, tmp_path: Path) -> Iterator[Copies]:
    made = Copies(postgres, LIBRARY, site.source_url, tmp_path)
    yield made
    made.drop()


@pytest.fixture(scope="module")
def done(site: Site, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Done]:
    return each_done(postgres, site, tmp_path_factory.mktemp("done"))


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("moment", "times"),
    [
        # What lies before an effect lies after the one before it, and a rebuild's first effects are on its own copy.
        ("after", "last"),
        pytest.param("before", "last", marks=pytest.mark.exhaustive),
        pytest.param("after", "first", marks=pytest.mark.exhaustive),
        pytest.param("before", "first", marks=pytest.mark.exhaustive),
    ],
)
def test_a_command_killed_at_any_point_is_made_good_by_the_next(
    command: str, moment: str, times: str, site: Site, done: Mapping[str, Done], copies: Copies
) -> None:
    points = {point: passes for point, passes in done[command].passes.items() if point.startswith(moment)}
    assert points
    for point, passes in points.items():
        copy = copy_for(command, site, copies)
        assert killed_at(copy, f"{point}:{passes if times == 'last' else 1}", (command,)), point

        rig = copy.rig()
        COMMANDS[command](rig)
        rig.run()

        assert unlike(done[command].contents, contents(rig)) == {}, point


@pytest.mark.parametrize("command", [name for name in COMMANDS if name not in MAKES_A_BATCH])
def test_what_puts_in_order_changes_no_row(command: str, done: Mapping[str, Done]) -> None:
    assert unlike(done["run"].contents, done[command].contents) == {}


def test_each_point_of_these_commands_is_passed(done: Mapping[str, Done]) -> None:
    passed = {point for each in done.values() for point in each.passes}
    assert {f"{moment}-{name}" for name in UPKEEP for moment in ("before", "after")} <= passed


def test_the_promises_show_the_matrix_of_these_kills(done: Mapping[str, Done]) -> None:
    shown = PROMISES.read_text("utf-8").partition(BEGIN_COMMANDS)[2].partition(END_COMMANDS)[0]

    assert shown == command_matrix(done), "python -m tests.support.interrupted"
