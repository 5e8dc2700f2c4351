"""The pages that are written out of code: `make reference` writes them, each other run of these tests compares them."""

import inspect
import re
from pathlib import Path

import pytest

from tests.support.command_page import commands_written, settings_written
from tests.support.star_picture import picture
from tests.support.written_docs import DOCS, require_written, table
from tidemark import errors
from tidemark.model_reader import load_model

# Lines of the measurement beside other tools, by their first cells.
WORK = ("full load", "increment")
CHANGES = ("committed late", "deleted", "edited without a new `last_updated`")
DECISIONS = sorted((DOCS / "decisions").glob("*.md"))


def test_the_page_of_commands_is_what_the_command_line_says(request: pytest.FixtureRequest) -> None:
    require_written(request.config, "commands.md", "settings", settings_written())
    require_written(request.config, "commands.md", "commands", commands_written())


def test_the_page_of_errors_is_what_the_code_says(request: pytest.FixtureRequest) -> None:
    families = [cls for cls in vars(errors).values() if inspect.isclass(cls) and issubclass(cls, errors.TidemarkError)]
    rows = [
        [
            f"[`{cls.__name__}`](operations.md#{_family(cls).__name__.lower()}-exit-{cls.exit_code})",
            str(cls.exit_code),
            _said(cls),
        ]
        for cls in families
        if cls is not errors.TidemarkError
    ]

    require_written(request.config, "errors.md", "families", table(["family", "exit code", "says that"], rows))


def test_the_page_of_decisions_lists_each_of_them(request: pytest.FixtureRequest) -> None:
    lines = [f"- [{_title(path)}](decisions/{path.name})" for path in DECISIONS]

    require_written(request.config, "decisions.md", "decisions", ["", *lines, ""])


def test_the_picture_of_the_star_is_what_the_model_says(request: pytest.FixtureRequest) -> None:
    path = DOCS / "pictures" / "star.svg"
    drawn = picture(load_model("totesys"))
    if request.config.getoption("write_docs"):
        path.write_text(drawn, "utf-8")

    assert path.read_text("utf-8") == drawn, "`make reference` draws docs/pictures/star.svg anew"


def test_the_figures_beside_other_tools_are_those_that_were_measured(request: pytest.FixtureRequest) -> None:
    readme = (DOCS.parent / "bench" / "README.md").read_text("utf-8")
    when, *measured = re.findall(
        r"^\S.*$", readme.partition("<!-- peers -->")[2].partition("<!-- end")[0], re.MULTILINE
    )
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in measured]
    sizes = [row[0].partition(" rows,")[0] for row in rows if " rows, " in row[0]]
    walls = [row[2] for row in rows if row[0] in WORK and row[1] in {"Tidemark", "dlt", "ingestr"}]
    works = [f"{what}, {size} rows, seconds" for size in sizes for what in WORK]
    seconds = [[work, *walls[number * 3 : number * 3 + 3]] for number, work in enumerate(works)]
    missed = [[f"of 10 rows {row[0]}, wrong or left", *row[1:]] for row in rows if row[0] in CHANGES]

    assert (len(walls), len(missed)) == (len(works) * 3, len(CHANGES))
    lines = table(["", "Tidemark", "dlt", "ingestr"], [*seconds, *missed])
    require_written(request.config, "comparison.md", "peers", ["", when, *lines])


def _family(cls: type[errors.TidemarkError]) -> type[errors.TidemarkError]:
    """Give the class that has a section of its own in operations.md."""
    return next(base for base in cls.__mro__ if base.__base__ is errors.TidemarkError)


def _said(cls: type[errors.TidemarkError]) -> str:
    return (inspect.getdoc(cls) or "").split("\n\n", maxsplit=1)[0].removeprefix("Say that ").removesuffix(".")


def _title(path: Path) -> str:
    return path.read_text("utf-8").splitlines()[0].removeprefix("# ")
