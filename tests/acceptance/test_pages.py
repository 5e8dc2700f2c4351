"""The tutorial and the how-to pages: every command on them is typed and does what the page says."""

import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.consoles import Terminal
from tests.support.grocer import change
from tests.support.pipeline import Rig

REPOSITORY = Path(__file__).parents[2]
# Before which block of the tutorial its reader lets something change in the source.
TUTORIAL_CHANGES = 9


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that the user whom the demo's server runs as may enter."""
    with tempfile.TemporaryDirectory(prefix="tidemark-") as name:
        yield Path(name)


def test_every_command_of_the_tutorial_works(
    new_database: Callable[..., str], open_folder: Path, path_of_programs: str
) -> None:
    makefile = (REPOSITORY / "Makefile").read_text("utf-8")
    assert re.search(r"^demo: .*\n\t@\$\(BIN\)/tidemark demo \$\(ARGS\)$", makefile, re.MULTILINE)
    source, mirror = new_database(), new_database()
    change(source, "schema.sql")
    # What `make demo` runs, with fewer rows.
    instead = {"make demo ARGS=--keep": "tidemark demo --keep --scale 0.02"}
    terminal = Terminal(open_folder, {"PATH": path_of_programs}, (source, mirror), instead)

    try:
        said = terminal.read("tutorial.md", {TUTORIAL_CHANGES: lambda: change(source, "activity.sql")})
    finally:
        terminal.type(f"tidemark demo --directory {open_folder}/.tidemark/demo --stop")

    history = said["tidemark history payment 5"]
    assert history.count("version 2") == 2
    assert history.count("version 3") == 1
    assert "true" in history
    assert said["tidemark verify"].count("no difference") == 2
    assert "has been stopped" in said["tidemark demo --directory ../demo --stop"]


@pytest.mark.parametrize("page", ["backfill.md", pytest.param("repair.md", marks=pytest.mark.exhaustive), "upgrade.md"])
def test_every_command_of_a_how_to_works(
    page: str, small_totesys: Callable[..., Rig], tmp_path: Path, path_of_programs: str
) -> None:
    rig = small_totesys(2)
    terminal = Terminal(tmp_path, {"PATH": path_of_programs, **settings(rig, tmp_path / "lake")})

    said = terminal.read(page)

    if page != "backfill.md":
        assert "no difference" in next(text for command, text in said.items() if command.startswith("tidemark verify"))


def settings(rig: Rig, lake: Path) -> dict[str, str]:
    """Give the settings by which commands find a pipeline."""
    return {
        "TIDEMARK_SOURCE_URL": rig.source_url,
        "TIDEMARK_WAREHOUSE_URL": rig.warehouse_url,
        "TIDEMARK_INGESTION": str(lake / "ingestion"),
        "TIDEMARK_PROCESSED": str(lake / "processed"),
        "TIDEMARK_POINTER": str(lake / "pointer.json"),
    }
