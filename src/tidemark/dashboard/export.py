"""The pages as files, or as one: the same templates, links from file to file, and nothing that needs a server."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from tidemark.dashboard.one_page import one_page
from tidemark.dashboard.pages import STATIC, environment, static_file
from tidemark.dashboard.reader import Reader
from tidemark.dashboard.site import Site
from tidemark.errors import ConfigError

if TYPE_CHECKING:
    from tidemark.pipeline import Pipeline

FIRST = "index.html"
# The newest batches that get a page of their own.
BATCHES = 50
# What only a server needs.
UNNEEDED = {"htmx.min.js"}


def export_pages(pipeline: "Callable[[], Pipeline]", directory: Path) -> list[str]:
    """Write the pages into a directory, and name the files; those of an earlier export are written over.

    Raises:
        ConfigError: the directory cannot be written.
    """
    made = pipeline()
    reader = Reader(lambda: made.warehouse_url)
    pages: dict[str, Callable[[], str]] = {}
    site = Site(lambda: made, reader, environment(_link_within(pages), _static, is_live=False))
    pages |= site.exported(BATCHES)
    files = {name_of(page): make().encode() for page, make in pages.items()}
    files |= {f"static/{name}": static_file(name) for name in STATIC if name not in UNNEEDED}
    reader.close()
    _write(directory, files)
    return sorted(files)


def export_one(pipeline: "Pipeline", path: Path) -> None:
    """Write everything that needs no filter as one page, in the place of an earlier one.

    Raises:
        ConfigError: the file cannot be written.
    """
    _write(path.parent, {path.name: one_page(pipeline).encode()})


def name_of(page: str) -> str:
    """Name the file of a page: `page-sales.html` for `page/sales`."""
    # A link would have to escape `%`, and no page has `=`.
    return f"{page.replace('/', '-').replace('%', '=')}.html" if page else FIRST


def _link_within(pages: Iterable[str]) -> Callable[..., str]:
    def link(page: str, query: str = "") -> str:
        """Lead to a page's file; there is no link to a page that is not exported, or that depends on a query."""
        return name_of(page) if page in pages and not query else ""

    return link


def _static(name: str) -> str:
    return f"static/{name}"


def _write(directory: Path, files: Mapping[str, bytes]) -> None:
    try:
        for name, content in files.items():
            path = directory / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
    except OSError as exc:
        message = f"{exc.filename or directory} cannot be written: {exc.strerror}"
        raise ConfigError(message, advice="name a directory that this user may write, or make room there") from exc
