"""Measure the dashboard in a browser at 100 times the real size: first paint, all figures, a filter; see README.md."""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from playwright.sync_api import Page, sync_playwright
from report import processor, write_into
from run import HERE, Site, say, workspace

from tidemark.embedded import EmbeddedServer
from tidemark.pipeline import utc_now

PAGE = "page/sales"
CURRENCIES = ("EUR", "GBP", "USD")
FIRST_PAINT = "performance.getEntriesByName('first-contentful-paint')[0].startTime"
NEXT_CARD = "() => [...document.querySelectorAll('article[hx-get]')].slice(0, 1).map(e => e.scrollIntoView()).length"


@dataclass(frozen=True)
class Seen:
    """Milliseconds from a click to what a person sees."""

    first_paint: float
    first_figure: float
    all_figures: float


def main() -> None:
    """Load the source, look at the pages, and print the report."""
    options = _options()
    with workspace(options.directory, keep=False) as directory, EmbeddedServer(directory / "postgres") as server:
        site = Site(server, directory, "dashboard", options.scale)
        say(f"{options.scale:g} times the real size: fill and full load")
        site.fill()
        site.pipeline()
        site.vacuum(site.warehouse)
        say("looking at the pages")
        found = looked_at(site)
    text = report(options.scale, found)
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, "dashboard")


def looked_at(site: Site) -> dict[str, Seen]:
    """Open the page with most figures: when nothing is known, with filters for the first time, and with them again."""
    command = [*site.command("dashboard"), "--port", "0"]
    with (
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process,  # noqa: S603 -- our own interpreter
        sync_playwright() as playwright,
    ):
        try:
            assert process.stdout is not None  # noqa: S101 # nosec B101
            url = json.loads(process.stdout.readline())["url"] + PAGE
            browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
            page = browser.new_page()
            first = seen(page, url)
            filters = [seen(page, f"{url}?currency={each}") for each in CURRENCIES]
            again = [seen(page, f"{url}?currency={each}") for each in CURRENCIES]
            browser.close()
        finally:
            process.terminate()
    return {"first look": first, "new filter": typical(filters), "known filter": typical(again)}


def seen(page: Page, url: str) -> Seen:
    """Open a page, and wait for all of its figures."""
    began = time.perf_counter()
    page.goto(url)
    page.wait_for_selector("article:not([hx-get])", state="attached")
    first = time.perf_counter() - began
    while page.evaluate(NEXT_CARD):
        page.wait_for_timeout(10)
    return Seen(float(page.evaluate(FIRST_PAINT)), first * 1000, (time.perf_counter() - began) * 1000)


def typical(times: list[Seen]) -> Seen:
    """Give the median of each."""
    rows = [asdict(each) for each in times]
    return Seen(**{name: statistics.median(row[name] for row in rows) for name in rows[0]})


def report(scale: float, found: dict[str, Seen]) -> str:
    """Write the report."""
    where = f"{processor()}, load average {os.getloadavg()[2]:.1f}, {utc_now():%Y-%m-%d}"
    lines = [
        f"{where}; {scale * 11_000:,.0f} sales orders, in milliseconds:",
        "",
        "| the page Sales | first paint | first figure | all figures |",
        "|---|---|---|---|",
    ]
    lines += [
        f"| {name} | {each.first_paint:,.0f} | {each.first_figure:,.0f} | {each.all_figures:,.0f} |"
        for name, each in found.items()
    ]
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=100)
    parser.add_argument("--directory", type=Path, help="where the databases lie; default: a temporary directory")
    parser.add_argument("--write", action="store_true", help="write the report into README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
