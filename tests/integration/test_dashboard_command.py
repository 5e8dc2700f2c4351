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
