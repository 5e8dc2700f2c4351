"""The layout of the code: rooms whose imports run one way, pure modules, no imports in circles."""

import ast
import graphlib
import re
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "tidemark"
# The modules that decide and never touch the world; each is property-tested.
PURE = {
    "amounts",
    "errors",
    "capture.diff",
    "capture.sweep",
    "capture.watermark",
    "lake.sqltext",
    "log.change",
    "log.columns",
    "log.keys",
    "log.reading",
    "named_sql",
    "postgres.statements",
    "runs.announcing",
    "runs.health",
    "runs.run",
}
# What people and Lambda start.
ENTRANCES = {"aws", "cli"}
# Beside them, only these may be started by a person: `python -m tidemark`.
STARTERS = {"__main__"}
ROOMS = sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


@cache
def modules() -> Mapping[str, Path]:
    """Return every module by its dotted name below the package (`cli.run`; a folder's __init__ is `cli`)."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of each thing that a file imports: within functions and for type checkers, too."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def own_imports(name: str) -> frozenset[str]:
    """Return the package's own modules that a module imports."""
    known = modules()
    found = set()
    for imported in imports(known[name]):
        if imported.startswith("tidemark."):
            inner = imported.removeprefix("tidemark.")
            # `from tidemark.capture.sweep import Bucketing` names a thing within a module.
            found.add(inner if inner in known else inner.rpartition(".")[0])
    return frozenset(found - {""})


def room_of(module: str) -> str:
    """Return the room of a module: its folder, or itself where it lies on top."""
    return module.partition(".")[0]


def arrows() -> dict[str, set[str]]:
    """Return for each room the rooms that it imports from."""
    found: dict[str, set[str]] = {room_of(name): set() for name in modules() if name}
    for name in modules():
        found.setdefault(room_of(name), set()).update(room_of(other) for other in own_imports(name))
    return {room: others - {room} for room, others in found.items()}


def forbidden(room: str) -> set[str]:
    """Return what a room's docstring says that it must not know."""
    docstring = import_module(f"tidemark.{room}").__doc__ or ""
    found = re.search(r"^Must not know: ([a-z, ]+)\.$", docstring, re.MULTILINE)
    return set(found[1].split(", ")) if found else set()


def test_each_pure_module_exists() -> None:
    assert PURE - modules().keys() == set()


def test_pure_modules_import_only_the_standard_library_and_each_other() -> None:
    allowed = sys.stdlib_module_names | {"tidemark"}

    foreign = {
        (name, imported)
        for name in PURE
        for imported in imports(modules()[name])
        if imported.partition(".")[0] not in allowed
    }
    impure = {(name, other) for name in PURE for other in own_imports(name) - PURE}

    assert foreign | impure == set()


def test_no_imports_go_in_circles() -> None:
    order = graphlib.TopologicalSorter({name: own_imports(name) for name in modules()})

    order.prepare()  # raises CycleError, which names the circle


def test_arrows_between_rooms_run_one_way() -> None:
    order = graphlib.TopologicalSorter(arrows())

    order.prepare()  # raises CycleError, which names the circle


def test_nobody_imports_an_entrance() -> None:
    found = {(room, other) for room, others in arrows().items() for other in others & ENTRANCES if room not in STARTERS}

    assert found == set()


def test_capture_star_and_warehouse_do_not_know_each_other() -> None:
    sides = {"capture", "star", "warehouse"}

    assert {side: arrows()[side] & sides for side in sides} == {side: set() for side in sides}


@pytest.mark.parametrize("room", [room for room in ROOMS if room != "models"])
def test_a_room_says_what_comes_in_what_goes_out_and_what_it_must_not_know(room: str) -> None:
    docstring = import_module(f"tidemark.{room}").__doc__ or ""

    said = re.findall(r"^(In|Out|Must not know): ", docstring, re.MULTILINE)

    assert said == ["In", "Out", "Must not know"]
    assert forbidden(room) - arrows().keys() == set(), "it must not know a room that does not exist"
    assert forbidden(room) & arrows()[room] == set()
