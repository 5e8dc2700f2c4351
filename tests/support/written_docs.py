"""Parts of the documentation that tests write: a test compares such a part with what it saw.

`make types` runs these tests with `--write-docs`, which rewrites the parts instead.
"""

import re
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

DOCS = Path(__file__).parents[2] / "docs"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Let `--write-docs` rewrite what tests write, and `--screenshots` take pictures of a dashboard."""
    parser.addoption("--write-docs", action="store_true", help="rewrite the parts of docs that tests write")
    parser.addoption(
        "--screenshots", metavar="ADDRESS", help="write docs/screenshots from the dashboard that runs there"
    )


def require_written(config: pytest.Config, page: str, part: str, lines: Iterable[str]) -> None:
    """Compare a part of a page, which stands between two comments with its name, with what it is to be."""
    path = DOCS / page
    text = path.read_text("utf-8")
    written = f"<!-- {part} -->\n" + "\n".join(lines) + f"\n<!-- end of {part} -->"
    found = re.search(rf"<!-- {part} -->\n.*<!-- end of {part} -->", text, re.DOTALL)
    assert found is not None, f"docs/{page} has no part {part}"
    if config.getoption("write_docs"):
        path.write_text(text.replace(found[0], written), "utf-8")
        return
    assert found[0].splitlines() == written.splitlines(), f"`make types` writes docs/{page} anew"


def table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """Write a table of Markdown."""
    body = [f"| {' | '.join(row)} |" for row in rows]
    return ["", f"| {' | '.join(headings)} |", "|---" * len(headings) + "|", *body, ""]


def span(text: str, most: int = 40) -> str:
    """Write a text as a code span that fits a table's cell."""
    cut = text if len(text) <= most else f"{text[:most]}…"
    shown = cut.replace("\r", "\\r").replace("\n", "\\n").replace("\t", "\\t")
    shown = "".join(letter if letter.isprintable() else f"\\u{ord(letter):04x}" for letter in shown)
    ticks = "``" if "`" in shown else "`"
    # A cell cannot hold the sign between cells, not even in a code span.
    return f"{ticks}{shown.replace('|', chr(92) + '|')}{ticks}" if shown.strip() else "(an empty text)"
