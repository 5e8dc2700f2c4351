"""The command `dashboard`: how it starts, what it prints, how it ends, and what it writes."""

import json
import re
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.dashboard import get
from tests.support.postgres import Postgres
from tests.support.site import Site, new_site, stop


@pytest.fixture
def site(new_database: Callable[..., str], postgres: Postgres, tmp_path: Path) -> Site:
    return new_site(new_database, postgres, tmp_path)


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.exhaustive)])
def test_it_serves_until_a_signal_and_ends_with_0(site: Site, number: signal.Signals) -> None:
    with site.started("dashboard", "--port", "0", "--json") as process:
        assert process.stdout is not None
        url = json.loads(process.stdout.readline())["url"]
        taken = site.run("dashboard", "--port", url.rpartition(":")[2].strip("/"), expect=2)
        page = get(url)
        _, err = stop(process, number)

    assert url.startswith("http://127.0.0.1:")
    assert "Health" in page.text
    assert "cannot listen at 127.0.0.1" in taken.stderr
    assert (process.returncode, err) == (0, "")


def test_it_writes_one_page_as_a_file_and_each_load_does_if_it_is_told_to(site: Site) -> None:
    place = site.folder / ".tidemark" / "processed" / "dashboard.html"
    site.run("init")
    site.run("run", TIDEMARK_DASHBOARD_PAGE="true")
    first = place.read_text("utf-8")
    site.run("run", TIDEMARK_DASHBOARD_PAGE="true")

    written = site.json("dashboard", "--export", "pages/one.html")

    assert "The warehouse after batch 1" in first
    assert "cannot be" not in first
    # A run that loaded nothing leaves the page as it is.
    assert place.read_text("utf-8") == first
    assert written == {"directory": "pages", "files": ["one.html"]}
    assert re.findall(r"<h2>(.*?)</h2>", (site.folder / "pages" / "one.html").read_text("utf-8")) == re.findall(
        r"<h2>(.*?)</h2>", first
    )


def test_a_page_that_cannot_be_written_fails_no_load_and_is_counted_in_the_record(site: Site) -> None:
    (site.folder / ".tidemark" / "processed" / "dashboard.html").mkdir(parents=True)
    site.run("init")

    ran = site.run("run", TIDEMARK_DASHBOARD_PAGE="true")

    ((message, stages),) = site.query(site.warehouse, "select message, stages from tidemark.run where command = 'run'")
    assert "the page of the dashboard could not be written: directory" in ran.stderr
    assert message.startswith("the page of the dashboard could not be written: directory")
    assert [(each["stage"], each["batches"], each["warnings"]) for each in stages] == [
        ("ingest", [1], 0),
        ("transform", [1], 0),
        ("load", [1], 1),
    ]


def test_for_other_machines_it_demands_a_token(site: Site) -> None:
    with site.started("dashboard", "--host", "0.0.0.0", "--port", "0", "--json") as process:  # noqa: S104
        assert process.stdout is not None
        url, _, token = json.loads(process.stdout.readline())["url"].partition("?token=")
        url = url.replace("0.0.0.0", "127.0.0.1")  # noqa: S104
        refused, entered = get(url), get(url, f"/?token={token}")
        _, err = stop(process)

    assert len(token) >= 32
    assert (refused.status, entered.status) == (401, 200)
    assert token not in err + refused.text


def test_it_writes_the_pages_as_files(site: Site) -> None:
    site.run("init")
    site.run("run")
    site.run("verify")

    written = site.json("dashboard", "--export", "pages")["files"]

    assert [name for name in written if not (site.folder / "pages" / name).is_file()] == []
    assert "Revenue by month and currency" in (site.folder / "pages" / "page-sales.html").read_text("utf-8")
    health = (site.folder / "pages" / "index.html").read_text("utf-8")
    assert "Green: well" in health
    assert len(re.findall(r"<strong>run</strong>\n<span>.*ok</span>", health)) == 1
    assert re.search(r'class="chart stages" role="img" aria-label="ingest [\d.]+ s, transform [\d.]+ s, load', health)
    assert "no difference" in health
    assert "cannot be" not in health
    (site.folder / "file").write_text("")
    assert "cannot be written" in site.run("dashboard", "--export", "file", expect=2).stderr
