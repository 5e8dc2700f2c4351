"""The documentation is under test: what it names exists, and what exists is named.

Code is looked for in code spans and code blocks alone, so prose may use any word.
"""

import ast
import functools
import re
from collections.abc import Iterator
from dataclasses import fields
from datetime import timedelta
from functools import cache
from pathlib import Path

import pytest
import typer

from tidemark import errors
from tidemark.cli import run
from tidemark.cli.app import app
from tidemark.log.changelog import LogObject, Manifest, TableEntry
from tidemark.log.pointer import Pointer
from tidemark.model_reader import load_model
from tidemark.postgres.queries import query
from tidemark.postgres.statements import split_statements
from tidemark.settings import NAMES, Settings, variable
from tidemark.star.star_manifest import Processed, Rebuilt, StarEntry
from tidemark.tables.statements import warehouse_sql
from tidemark.warehouse.fact_views import generated

REPOSITORY = Path(__file__).parents[2]
README = REPOSITORY / "README.md"
REFERENCE = REPOSITORY / "docs" / "reference.md"
MODELS = REPOSITORY / "docs" / "models.md"
PACKAGE = REPOSITORY / "src" / "tidemark"
DOCS = [*sorted(REPOSITORY.glob("*.md")), *sorted((REPOSITORY / "docs").rglob("*.md"))]
DECISIONS = sorted((REPOSITORY / "docs" / "decisions").glob("*.md"))
HEADINGS = ["## Context", "## Choice", "## Pros and cons", "## When to revisit"]
# Settings of the tests and not of Tidemark.
TEST_SETTINGS = {"TIDEMARK_TOTESYS_ROWS"}
BLOCK = re.compile(r"^```.*?^```|(?:^ {4}[^\n]*\n)+", re.MULTILINE | re.DOTALL)
SPAN = re.compile(r"`([^`]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
PATH = re.compile(r"(?<![\w./-])(?:src|tests|docs|bench|deploy|requirements|\.ci|\.github)/[\w./-]*[\w/]")


def code(path: Path) -> Iterator[str]:
    """Yield a page's code spans and the lines of its code blocks, a span's line breaks as blanks."""
    text = path.read_text("utf-8")
    for block in BLOCK.findall(text):
        yield from block.splitlines()
    for span in SPAN.findall(BLOCK.sub("\n", text)):
        yield " ".join(span.split())


def found(pattern: str) -> set[tuple[str, str]]:
    """Return what a pattern's first group finds in the code of all pages, each with the page's name."""
    return {(path.name, match[1]) for path in DOCS for line in code(path) for match in re.finditer(pattern, line)}


def invocations() -> Iterator[tuple[str, str, str]]:
    """Yield page, command and arguments of each `tidemark …` in the code of all pages."""
    for path in DOCS:
        for line in code(path):
            for match in re.finditer(r"(?:^\s*(?:\$ )?|/|&& )tidemark ([a-z]\w*)([^|#&]*)", line):
                yield path.name, match[1], match[2]


def slug(heading: str) -> str:
    """Write a heading as the anchor that a link names."""
    return re.sub(r"[^\w -]", "", heading.lower()).strip().replace(" ", "-")


def anchors(path: Path) -> set[str]:
    text = BLOCK.sub("\n", path.read_text("utf-8"))
    return {slug(line.lstrip("# ")) for line in text.splitlines() if line.startswith("#")}


def tables(path: Path) -> list[list[str]]:
    """Return the rows of a page's tables, each a list of its cells."""
    lines = path.read_text("utf-8").splitlines()
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")]


@cache
def commands() -> list[str]:
    return list(getattr(typer.main.get_command(app), "commands", {}))


@cache
def options(command: str) -> set[str]:
    group = typer.main.get_command(app)
    named = getattr(group, "commands", {})[command]
    return {option for parameter in named.params for option in parameter.opts if option.startswith("-")} | {"--help"}


@pytest.mark.parametrize("path", DOCS, ids=lambda path: path.name)
def test_every_relative_link_resolves(path: Path) -> None:
    broken = []
    for link in LINK.findall(BLOCK.sub("\n", path.read_text("utf-8"))):
        if "://" in link:
            continue
        place, _, anchor = link.partition("#")
        target = path.parent / place if place else path
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)

    assert broken == []


def test_every_path_that_the_docs_name_exists() -> None:
    missing = {
        (path.name, name)
        for path in DOCS
        for line in [*code(path), *path.read_text("utf-8").splitlines()]
        for name in PATH.findall(line)
        if not (REPOSITORY / name).exists()
    }

    assert missing == set()


def test_the_map_names_all_that_lies_in_the_package() -> None:
    _, _, rest = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8").partition("\n## Where things are\n")
    drawn = "".join(BLOCK.findall(rest.partition("\n## ")[0]))
    named = [name for row in drawn.splitlines() for name in re.findall(r"(?<!\S)\w+(?:/|\.py)", row[:40])]

    there = [path.name + "/" * path.is_dir() for path in PACKAGE.iterdir() if path.name[0] not in "_."]
    assert sorted(named) == sorted(name for name in there if name != "py.typed")


def test_every_module_that_the_architecture_names_exists() -> None:
    text = (REPOSITORY / "docs" / "architecture.md").read_text("utf-8")
    named = {name for name in SPAN.findall(BLOCK.sub("\n", text)) if name.endswith(".py")}

    assert {name for name in named if not any((place / name).is_file() for place in (PACKAGE, REPOSITORY))} == set()
    assert {name.partition("/")[0] for name in named} >= {"capture", "log", "star", "warehouse", "verification", "lake"}


def test_the_picture_of_the_architecture_shows_what_is_there() -> None:
    picture = BLOCK.findall((REPOSITORY / "docs" / "architecture.md").read_text("utf-8"))[0]
    # Between what a floor is called, on the left, and what is said of it.
    drawn = {name for line in picture.splitlines() for name in re.findall(r"[a-z_]+", line[26:70])}

    assert {name for name in drawn if not ((PACKAGE / name).is_dir() or (PACKAGE / f"{name}.py").is_file())} == set()
    assert {path.parent.name for path in PACKAGE.glob("*/__init__.py")} - drawn == {"embedded"}


def test_every_command_that_the_docs_name_exists() -> None:
    named = {(page, name) for page, name, _ in invocations()}

    assert {(page, name) for page, name in named if name not in commands()} == set()


def test_the_reference_lists_every_command() -> None:
    listed = [row[0] for row in tables(REFERENCE) if row[0].startswith("`tidemark ")]

    assert listed == [f"`tidemark {command}`" for command in commands()]


def test_the_readme_is_read_in_one_go() -> None:
    assert len(README.read_text("utf-8").splitlines()) <= 150


def test_the_commands_of_the_docs_have_their_options() -> None:
    unknown = {
        (page, command, option)
        for page, command, rest in invocations()
        for option in re.findall(r"(?<!\S)(--?[a-z][\w-]*)", rest)
        if option not in options(command)
    }

    assert unknown == set()


@pytest.mark.parametrize("command", commands())
def test_the_commands_that_the_reference_lists_run(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run([command, "--help"]) == 0
    assert capsys.readouterr().out


@pytest.mark.parametrize(
    ("language", "runners"),
    [
        ("console", ["acceptance/test_own_database.py", "acceptance/test_pages.py"]),
        ("sql", ["integration/test_sql_of_pages.py", "unit/test_docs.py"]),
        ("python", ["integration/test_signals.py", "integration/test_sql_of_pages.py"]),
    ],
)
def test_what_a_page_has_to_be_typed_is_run_by_a_test(language: str, runners: list[str]) -> None:
    tests = "".join((REPOSITORY / "tests" / runner).read_text("utf-8") for runner in runners)
    pages = [path.name for path in DOCS if f"\n```{language}\n" in path.read_text("utf-8")]

    assert [page for page in pages if f'"{page}"' not in tests] == []
    assert pages


def test_every_make_target_that_the_docs_name_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):.*## ", (REPOSITORY / "Makefile").read_text("utf-8"), re.MULTILINE))
    named = {name for _, name in found(r"(?:^|\s)make ([a-z]+)\b(?!=)")}

    assert named - targets == set()
    assert targets - named - {"help"} == set()


def test_every_setting_that_the_docs_name_exists() -> None:
    named = found(r"\b(TIDEMARK_[A-Z_]+)")
    known = {variable(name) for name in NAMES} | TEST_SETTINGS

    assert {(page, name) for page, name in named if name not in known} == set()


def duration(length: timedelta) -> str:
    seconds = length.total_seconds()
    return f"{seconds:g}s" if seconds % 60 else f"{seconds / 60:g}m"


def test_the_reference_lists_every_setting_with_its_default() -> None:
    defaults = {name: getattr(Settings(), name) for name in NAMES}
    texts = {
        name: "false" if value is False else duration(value) if isinstance(value, timedelta) else value
        for name, value in defaults.items()
    }
    shown = {f"`{variable(name)}`": "none" if value is None else f"`{value}`" for name, value in texts.items()}

    assert {row[0]: row[2] for row in tables(REFERENCE) if row[0].startswith("`TIDEMARK_")} == shown


def test_operations_has_a_section_for_every_family_with_its_exit_code() -> None:
    text = (REPOSITORY / "docs" / "operations.md").read_text("utf-8")
    families = [cls for cls in vars(errors).values() if isinstance(cls, type) and issubclass(cls, errors.TidemarkError)]
    assert families[0] is errors.TidemarkError
    direct = [cls for cls in families if cls.__base__ is errors.TidemarkError]

    assert [cls.__name__ for cls in direct if f"### `{cls.__name__}` (exit {cls.exit_code})" not in text] == []
    assert [cls.__name__ for cls in families[1:] if f"`{cls.__name__}`" not in text] == []


def test_every_error_that_the_docs_name_exists() -> None:
    source = "\n".join(path.read_text("utf-8") for path in (REPOSITORY / "src").rglob("*.py"))
    named = {(path.name, name) for path in DOCS for name in re.findall(r"\b[A-Z]\w+Error\b", path.read_text("utf-8"))}

    assert {(page, name) for page, name in named if f"class {name}(" not in source} == set()


def test_every_test_that_promises_names_exists() -> None:
    text = (REPOSITORY / "docs" / "promises.md").read_text("utf-8")
    named = re.findall(r"^- (tests/[\w/]+\.py):((?:\s+`test_\w+`,?)+)", text, re.MULTILINE)
    missing = [
        (path, name)
        for path, names in named
        for name in re.findall(r"`(test_\w+)`", names)
        if name not in functions(REPOSITORY / path)
    ]

    assert missing == []
    assert sum(len(re.findall(r"`test_", names)) for _, names in named) == len(re.findall(r"`test_", text))


def test_every_file_of_acceptance_tests_proves_a_promise() -> None:
    text = (REPOSITORY / "docs" / "promises.md").read_text("utf-8")
    # The demo is described, not promised.
    files = {f"tests/acceptance/{path.name}" for path in (REPOSITORY / "tests" / "acceptance").glob("test_*.py")}

    assert {name for name in files - {"tests/acceptance/test_demo.py"} if name not in text} == set()


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_every_decision_has_its_number_and_its_four_headings(path: Path) -> None:
    lines = path.read_text("utf-8").splitlines()

    assert re.fullmatch(r"\d{4}-[a-z0-9-]+\.md", path.name)
    assert lines[0].startswith(f"# {path.name[:4]} ")
    assert [line for line in lines if line.startswith("## ")] == HEADINGS


def test_decisions_are_numbered_without_gaps() -> None:
    assert [path.name[:4] for path in DECISIONS] == [f"{number:04d}" for number in range(1, len(DECISIONS) + 1)]


def test_the_change_log_page_names_every_field_that_is_written() -> None:
    spans = set(code(REPOSITORY / "docs" / "change_log.md"))
    written = (Manifest, TableEntry, LogObject, Processed, StarEntry, Rebuilt, Pointer)

    assert [(cls.__name__, each.name) for cls in written for each in fields(cls) if each.name not in spans] == []


def test_the_tables_views_and_functions_of_the_warehouse_page_exist() -> None:
    model = load_model("totesys")
    spans = code(REPOSITORY / "docs" / "warehouse.md")
    named = {name for line in spans for name in re.findall(r"\b(?:fact|dim)_\w+", line) if not name.endswith("_")}

    assert len(named) > len(model.facts)
    assert named - model.stars.keys() - {made.name for made in generated(model)} == set()


def test_the_warehouse_page_names_every_column_of_the_ledger() -> None:
    spans = set(code(REPOSITORY / "docs" / "warehouse.md"))
    columns = re.findall(r"^ {4}(\w+) ", query("warehouse", "create_ledger").as_string(), re.MULTILINE)

    assert len(columns) > 1
    assert [name for name in columns if name not in spans] == []


def test_the_model_in_the_docs_can_be_read(tmp_path: Path) -> None:
    text = MODELS.read_text("utf-8")
    toml, source = re.findall(r"^```toml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    select, table = re.findall(r"^```sql\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    (tmp_path / "fact").mkdir()
    for name, content in (("model.toml", toml), ("fact/purchase.sql", select), ("source.toml", source)):
        (tmp_path / name).write_text(content, "utf-8")

    model = load_model(str(tmp_path))

    assert list(model.stars) == ["fact_purchase"]
    assert next(split_statements(warehouse_sql(model))) == table.strip()


@functools.cache
def functions(path: Path) -> set[str]:
    """Return the names of a file's functions, none for a file that is not there."""
    if not path.is_file():
        return set()
    return {node.name for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.FunctionDef)}
