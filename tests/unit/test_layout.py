"""What the shape of the code promises: pure modules stay pure, and no imports go in circles."""

import ast
import graphlib
import sys
from collections.abc import Iterator
from pathlib import Path

PACKAGE = Path(__file__).parents[2] / "src" / "tidemark"
# The modules that decide and never touch the world; each is property-tested.
PURE = {
    "errors",
    "capture.diff",
    "capture.sweep",
    "capture.watermark",
    "lake.sqltext",
    "log.columns",
    "postgres.statements",
}


def modules() -> dict[str, Path]:
    """Return every module by its dotted name below the package (`cli.run`; a folder's __init__ is `cli`)."""
    found = {}
    for path in PACKAGE.rglob("*.py"):
        parts = path.relative_to(PACKAGE).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imports(path: Path) -> Iterator[str]:
    """Yield the dotted name of each thing that a file imports, wherever in the file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def own_imports(path: Path, known: dict[str, Path]) -> set[str]:
    """Return the package's own modules that a file imports."""
    found = set()
    for name in imports(path):
        if name.startswith("tidemark."):
            inner = name.removeprefix("tidemark.")
            # `from tidemark.capture.sweep import Bucket` names a thing within a module.
            found.add(inner if inner in known else inner.rpartition(".")[0])
    return found - {""}


def test_pure_modules_import_only_the_standard_library_and_each_other() -> None:
    known = modules()
    allowed = sys.stdlib_module_names | {"tidemark"}

    foreign = {
        (name, imported)
        for name in PURE
        for imported in imports(known[name])
        if imported.partition(".")[0] not in allowed
    }
    impure = {(name, other) for name in PURE for other in own_imports(known[name], known) - PURE}

    assert foreign | impure == set()


def test_no_imports_go_in_circles() -> None:
    known = modules()

    order = graphlib.TopologicalSorter({name: own_imports(path, known) for name, path in known.items()})

    order.prepare()  # raises CycleError, which names the circle
