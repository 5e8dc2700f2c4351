"""The documentation as a site: it is built without a warning, holds every page, and loads nothing from another host."""

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

REPOSITORY = Path(__file__).parents[2]
PAGES = sorted((REPOSITORY / "docs").glob("*.md"))
ZENSICAL = Path(sys.executable).with_name("zensical")
# By these attributes a browser loads something; a link that a reader has to click is no load.
LOADED = {"src", "srcset", "poster", "data", "action", "formaction"}
ADDRESS = re.compile(r"^\s*(?:[a-z][a-z0-9+.-]*:)?//", re.IGNORECASE)
# What the theme's script would load for pages of a kind that this site has none of, and the mark of such a page. The
# Content-Security-Policy of each page forbids it as well.
DORMANT = {
    "https://unpkg.com/mermaid@": "mermaid",
    "https://unpkg.com/glightbox@": "glightbox",
    "https://unpkg.com/pyodide@": "pyodide",
    "https://cdn.jsdelivr.net/pyodide/": "pyodide",
    "https://unpkg.com/ace-builds@": "pyodide",
    "https://api.github.com/": "md-source",
}
# Names of XML's vocabularies, and what only a browser older than 2020 needs.
NO_LOADS = ("http://www.w3.org/", "https://fontawesome.com", "https://unpkg.com/resize-observer-polyfill")


class Reader(HTMLParser):
    """What a page loads, the classes of its elements, and its policy."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.links: list[str] = []
        self.classes: set[str] = set()
        self.policy = ""
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.classes |= set(given.get("class", "").split())
        self.loads += [value for name, value in given.items() if name in LOADED]
        if tag == "a":
            self.links.append(given.get("href", ""))
        if tag == "link" and not {"canonical", "next", "prev", "alternate"} & set(given.get("rel", "").split()):
            self.loads.append(given.get("href", ""))
        if tag == "meta" and given.get("http-equiv") == "Content-Security-Policy":
            self.policy = given["content"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The site, built as `make docs` builds it, elsewhere."""
    folder = tmp_path_factory.mktemp("site")
    shutil.copytree(REPOSITORY / "docs", folder / "docs")
    shutil.copy(REPOSITORY / "zensical.toml", folder)
    build(folder)
    yield folder / "site"
    shutil.rmtree(folder)


def build(folder: Path, code: int = 0) -> str:
    """Build a copy of the documentation strictly, and return what the build says."""
    done = subprocess.run(  # noqa: S603 -- a program of our own environment
        [ZENSICAL, "build", "--strict"], cwd=folder, capture_output=True, text=True, check=False
    )
    said = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)
    assert done.returncode == code, said
    return said


def test_every_page_is_in_the_site_and_in_its_navigation(site: Path) -> None:
    home = (site / "index.html").read_text("utf-8")

    assert [path.stem for path in PAGES if not (site / f"{path.stem}.html").is_file()] == []
    assert [path.stem for path in PAGES if path.stem != "index" and f'href="{path.stem}.html"' not in home] == []


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = {path: Reader(path) for path in site.rglob("*.html")}

    assert len(pages) > len(PAGES)
    assert {(path.name, load) for path, page in pages.items() for load in page.loads if ADDRESS.match(load)} == set()
    assert {path.name for path, page in pages.items() if not page.policy.startswith("default-src 'self' ")} == set()
    assert {word for page in pages.values() for word in page.policy.split() if "//" in word or "*" in word} == set()


def test_all_that_a_page_loads_or_links_to_is_there(site: Path) -> None:
    missing = set()
    for path in site.rglob("*.html"):
        page = Reader(path)
        for address in [*page.loads, *page.links]:
            place = urlsplit(address)
            # The page for a place that is not there names its loads by the site's root.
            base = site if place.path.startswith("/") else path.parent
            if not place.scheme and place.path and not (base / unquote(place.path).lstrip("/")).is_file():
                missing.add((path.name, address))

    assert missing == set()


def test_style_sheets_and_scripts_load_nothing_from_another_host(site: Path) -> None:
    pages = [Reader(path) for path in site.rglob("*.html")]
    sheets = "".join(path.read_text("utf-8") for path in site.rglob("*.css"))
    scripts = "".join(path.read_text("utf-8") for path in site.rglob("*.js"))

    assert re.findall(r"""(?:url\(|@import)\s*["']?(?:[a-z]+:)?//[^)"']*""", sheets) == []
    named = set(re.findall(r"https?://[\w.-]+/?[\w./@-]*", scripts))
    assert {name for name in named if not name.startswith((*DORMANT, *NO_LOADS))} == set()
    assert {mark for mark in DORMANT.values() for page in pages if any(mark in each for each in page.classes)} == set()


def test_pictures_load_nothing_and_run_nothing(site: Path) -> None:
    pictures = {path.name: path.read_text("utf-8") for path in site.rglob("*.svg")}

    assert pictures
    assert {name for name, text in pictures.items() if re.search(r"<script|\bhref=|url\((?!#)|\bon\w+=", text)} == set()


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("[gone](gone.md)", "page does not exist"),
        ("[gone](glossary.md#no-such-heading)", "anchor does not exist"),
    ],
)
def test_a_link_that_leads_nowhere_stops_the_build(tmp_path: Path, text: str, fault: str) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "index.md").write_text(f"# Home\n\n{text}\n", "utf-8")
    (tmp_path / "docs" / "glossary.md").write_text("# Glossary\n", "utf-8")
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "small"\n', "utf-8")

    assert fault in build(tmp_path, code=1)
