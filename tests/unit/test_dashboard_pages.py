"""What the pages are made of, and who may see them."""

import re
from base64 import b64encode
from hashlib import sha256
from importlib import resources
from pathlib import Path

import pytest

from tidemark.dashboard.guard import is_loopback, is_ours
from tidemark.dashboard.one_page import policy
from tidemark.dashboard.pages import STATIC, digest, environment, served, served_static
from tidemark.errors import ConfigError
from tidemark.settings import load

ROOM = Path(str(resources.files("tidemark.dashboard")))
STATIC_FOLDER, TEMPLATES = ROOM / "static", ROOM / "templates"


def test_htmx_is_the_file_that_its_note_names() -> None:
    note = (STATIC_FOLDER / "README.md").read_text("utf-8")
    (said,) = re.findall(r"^    ([0-9a-f]{64})  htmx\.min\.js$", note, re.MULTILINE)

    assert sha256((STATIC_FOLDER / "htmx.min.js").read_bytes()).hexdigest() == said == digest("htmx.min.js")
    assert (version := re.search(r"version (\d[\d.]+\d)", note)) is not None
    assert f'version:"{version[1]}"' in (STATIC_FOLDER / "htmx.min.js").read_text("utf-8")


def test_every_static_file_is_served() -> None:
    assert {path.name for path in STATIC_FOLDER.iterdir()} == {*STATIC, "README.md", "htmx.LICENSE"}


def test_no_page_has_a_script_or_a_style_of_its_own() -> None:
    text = "\n".join(path.read_text("utf-8") for path in sorted(TEMPLATES.iterdir()))
    # The page that stands alone has the style of the others in it, and its hash.
    assert text.count("<style>{{ style }}</style>") == 1
    text = text.replace("<style>{{ style }}</style>", "")

    assert re.findall(r"<style|\sstyle=|\son\w+=|javascript:|hx-on|\|safe|autoescape false", text) == []
    assert all("src=" in tag for tag in re.findall(r"<script[^>]*>", text))


def test_the_one_page_lets_a_browser_use_its_own_style_and_nothing_else() -> None:
    style = (STATIC_FOLDER / "style.css").read_text("utf-8")
    digest = b64encode(sha256(style.encode()).digest()).decode()

    assert policy(style).split("; ") == [
        "default-src 'none'",
        f"style-src 'sha256-{digest}'",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    assert re.findall(r"</style|@import|url\(|\r", style) == []


def test_no_page_names_another_host() -> None:
    files = [*TEMPLATES.iterdir(), *(STATIC_FOLDER / name for name in STATIC if name != "htmx.min.js")]
    text = "\n".join(path.read_text("utf-8") for path in files)

    assert set(re.findall(r"https?://[^\"'\s)]+", text)) <= {"http://www.w3.org/2000/svg"}


def test_values_are_escaped_and_marks_of_direction_are_shown() -> None:
    made = environment(served, served_static, is_live=True)

    assert made.from_string("{{ a }}").render(a="<b>\u202e&") == "&lt;b&gt;\\u202e&amp;"


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "127.0.0.1:8484", "[::1]:8484", "LOCALHOST:1", "10.0.0.7", "shop.example"]
)
def test_an_address_and_a_known_name_are_ours(host: str) -> None:
    assert is_ours(host, {"localhost", "shop.example"})


@pytest.mark.parametrize(
    "host", ["evil.example", "127.0.0.1.evil.example", "", "[evil]", "localhost.evil:80", "a@b", "::"]
)
def test_any_other_name_is_not(host: str) -> None:
    assert not is_ours(host, {"localhost", "shop.example"})


def test_a_token_is_long_plain_and_never_shown(tmp_path: Path) -> None:
    settings = load({"dashboard_token": "alongandsecrettoken"}, environ={}, directory=tmp_path)

    assert "alongandsecrettoken" not in repr(settings)
    for token in ("short", "with spaces and signs", "füüüüüüüüüüüüüüür"):
        with pytest.raises(ConfigError, match="expected 16 or more letters and digits"):
            load({"dashboard_token": token}, environ={}, directory=tmp_path)


def test_only_this_machine_reaches_a_loopback_address() -> None:
    assert [is_loopback(host) for host in ("127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "10.0.0.7", "box")] == [  # noqa: S104
        *[True] * 3,
        *[False] * 4,
    ]
