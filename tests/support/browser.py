"""Debian's chromium for the tests: windows that note what a page does beside what it shows."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from playwright.sync_api import Browser, Page, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
MISSING = "chromium is not installed: apt-get install chromium"
WIDE, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
# What reaches beyond the window, and cannot be scrolled within itself.
TOO_WIDE = """[...document.querySelectorAll('main *')]
    .filter(each => !each.closest('.scroll, pre, svg, .unseen') && each.getBoundingClientRect().right > innerWidth + 1)
    .map(each => each.outerHTML.slice(0, 100))"""
TIMEOUT_MILLISECONDS = 10_000


@dataclass
class Seen:
    """What a page did beside what it shows: errors that it wrote to the console, and where it asked for something."""

    errors: list[str] = field(default_factory=list)
    urls: set[str] = field(default_factory=set)


@contextmanager
def started() -> Iterator[Browser]:
    """Start the browser."""
    with sync_playwright() as playwright:
        # As root, Chromium runs without its sandbox only.
        found = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield found
        found.close()


@contextmanager
def opened(browser: Browser, **options: object) -> Iterator[tuple[Page, Seen]]:
    """Open a window of its own."""
    context = browser.new_context(**{"viewport": WIDE, **options})  # type: ignore[arg-type]
    context.set_default_timeout(TIMEOUT_MILLISECONDS)
    page, seen = context.new_page(), Seen()
    page.on("console", lambda message: seen.errors.append(message.text) if message.type == "error" else None)
    page.on("pageerror", lambda error: seen.errors.append(str(error)))
    page.on("request", lambda request: seen.urls.add(request.url))
    yield page, seen
    context.close()
