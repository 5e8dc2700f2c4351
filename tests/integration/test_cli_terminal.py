"""What commands print on a terminal of 80 columns and 24 lines, and that a pipe gets none of it."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.pipeline import Rig
from tests.support.site import Site
from tests.support.terminal import COLUMNS, LINES, on_terminal, screen_of
from tidemark.model_reader import load_model

COLOUR = "\x1b[1;33m"


@pytest.fixture
def rig(small_totesys: Callable[..., Rig], tmp_path: Path) -> Rig:
    """A pipeline after its first run."""
    return small_totesys(1, str(tmp_path / ".tidemark"))


@pytest.fixture
def site(rig: Rig, tmp_path: Path) -> Site:
    return Site(rig.source_url, rig.warehouse_url, tmp_path)


def shown(site: Site, *arguments: str, kind: str = "xterm-256color", **settings: str) -> str:
    urls = {"TIDEMARK_SOURCE_URL": site.source, "TIDEMARK_WAREHOUSE_URL": site.warehouse}
    with on_terminal(arguments, site.folder, urls | settings, kind=kind) as terminal:
        return terminal.ended()


def moved(rig: Rig, order: int) -> None:
    rig.change(
        "update sales_order set agreed_delivery_location_id = 1 + agreed_delivery_location_id % 30,"
        f" last_updated = now() at time zone 'UTC' where sales_order_id = {order}"
    )
    rig.run()


def test_status_fits_on_one_screen_with_the_tables_that_changed_last(rig: Rig, site: Site) -> None:
    moved(rig, 17)

    screen = screen_of(shown(site, "status"))
    found = site.json("status")

    assert screen[0].startswith(f"{found['health']['colour']}, {found['health']['word']}")
    assert ["place", "newest", "batch", "source", "as", "of", "rows"] in [line.split() for line in screen]
    [names] = [at for at, line in enumerate(screen) if line.startswith("table ")]
    first = screen[names + 2].split()
    assert (first[0], first[-1]) == ("sales_order", "2")
    left = len(found["tables"]) - sum(line.partition(" ")[0] in found["tables"] for line in screen)
    assert f"{left} more tables: tidemark status --json" in screen
    assert next(iter(found["tables"])) == "sales_order"
    [(rows,)] = site.query(site.source, "select count(*) from sales_order")
    moment = found["log"]["captured_at"]
    assert found["tables"]["sales_order"] == {"rows": rows, "batch": 2, "changed_at": moment}
    assert found["tables"]["currency"]["batch"] == 1
    assert found["tables"].keys() == load_model("totesys").sources.keys()
    assert all(name in site.run("status").stdout for name in found["tables"])


def test_status_knows_when_tables_changed_while_the_warehouse_is_away(rig: Rig, site: Site) -> None:
    moved(rig, 17)
    known = site.json("status")["tables"]

    assert site.json("status", TIDEMARK_WAREHOUSE_URL="postgresql://u@127.0.0.1:1/x")["tables"] == known


def test_status_that_watches_paints_one_picture_and_ends_without_an_error(site: Site) -> None:
    urls = {"TIDEMARK_SOURCE_URL": site.source, "TIDEMARK_WAREHOUSE_URL": site.warehouse}

    with on_terminal(["status", "--watch", "0.1"], site.folder, urls) as terminal:
        terminal.read_until("\x1b[H", "more tables")
        before = len(terminal.written)
        while terminal.written[before:].count("\x1b[H") < 2:
            terminal.read_until("\x1b[H")
            assert terminal._read()
        terminal.process.send_signal(signal.SIGINT)
        written = terminal.ended(0)

    screen = screen_of(written)
    assert sum("newest batch" in line for line in screen) == 1
    assert max(map(len, screen)) <= COLUMNS
    assert len(screen) == LINES
    assert written.endswith("\x1b[?25h\r\n")
    assert "Traceback" not in written


def test_status_that_watches_writes_one_status_after_another_into_a_pipe(site: Site) -> None:
    with site.started("status", "--watch", "0.1", "--json") as process:
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(2)]
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=20)
    with site.started("status", "--watch") as process:
        assert process.stdout is not None
        text = [process.stdout.readline() for _ in range(10)]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=20)

    assert [json.loads(line)["log"]["batch"] for line in lines] == [1, 1]
    assert (process.returncode, told) == (0, "")
    assert not any("\x1b" in line for line in text)
    for wrong in ("0", "-1", "soon", "nan", "inf"):
        assert "above zero after --watch" in site.json("status", f"--watch={wrong}", expect=2)["error"]["message"]
    for other in (["--check"], ["--metrics-file", "x.prom"]):
        refused = site.json("status", "--watch", *other, expect=2)["error"]["message"]
        assert "it takes neither --check nor --metrics-file" in refused
    assert not (site.folder / "x.prom").exists()


def test_history_fits_a_terminal_and_shows_what_changed(rig: Rig, site: Site) -> None:
    moved(rig, 17)

    written = shown(site, "history", "sales_order", "17")
    whole = shown(site, "history", "sales_order", "17", "--all", COLUMNS="120")
    piped = site.run("history", "sales_order", "17").stdout
    single = shown(site, "history", "sales_order", "18")

    lines = [line.rstrip() for line in written.split("\n")]
    assert max(len(line) for line in piped.splitlines()) > COLUMNS
    assert "version 1" in written
    assert [line for line in screen_of(written) if len(line) > COLUMNS] == []
    changed = [line for line in lines if "●" in line and "differs" not in line]
    assert [COLOUR in line for line in changed] == [True] * 3
    assert "units_sold" not in written + piped
    assert "12 more columns never changed: --all shows them" in piped
    assert "units_sold" in whole
    assert "more columns" not in whole
    assert "units_sold" in single
    assert "●" not in single
    assert [line for line in piped.splitlines() if "version 1" in line and "version 2" in line]


def test_colours_are_for_those_who_want_them(site: Site) -> None:
    away = {"TIDEMARK_WAREHOUSE_URL": "postgresql://u@127.0.0.1:1/x"}

    plain = shown(site, "status", **away)
    without = [shown(site, "status", "--no-color", **away), shown(site, "status", NO_COLOR="1", **away)]
    dumb = shown(site, "status", kind="dumb", **away)

    assert "\x1b[31m" in plain
    assert ["\x1b[31m" in written for written in without] == [False, False]
    assert "warehouse cannot be asked" in dumb
    assert "\x1b" not in dumb


def test_a_pipe_gets_neither_colours_nor_anything_that_moves(site: Site) -> None:
    for arguments in (["run"], ["history", "sales_order", "17"], ["--help"]):
        done = site.run(*arguments)
        assert "\x1b" not in done.stdout + done.stderr, arguments


def test_quiet_prints_errors_and_what_a_program_asked_for_and_nothing_else(site: Site) -> None:
    site.query(site.source, "update staff set first_name = first_name || '!'")

    for arguments in (["run"], ["status"]):
        done = site.run(*arguments, "--quiet")
        assert (done.stdout, done.stderr) == ("", ""), arguments
    assert shown(site, "run", "-q") == ""
    assert site.json("status", "-q")["log"]["batch"] == 2
    assert site.run("sql", "select 1 as a", "--csv", "-q").stdout == "a\n1\n"
    failed = site.run("ingest", "--attempts", "2", "-q", expect=3, TIDEMARK_SOURCE_URL="postgresql://u@127.0.0.1:1/x")
    assert [line.partition(":")[0] for line in failed.stderr.splitlines()] == ["error", "what to do"]
