"""The dashboard in a browser: what a person sees, reaches by keyboard and reads on a phone.

Needs Debian's chromium, which `.ci/run` installs. `--screenshots ADDRESS` writes docs/screenshots anew from a dashboard
that runs there, such as that of the demo.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.support.browser import CHROMIUM, MISSING, PHONE, TOO_WIDE, opened, started
from tests.support.dashboard import serving, wiring
from tests.support.kept import database_of, small_totesys
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tidemark.dashboard.published import PAGE, publish
from tidemark.pipeline import Pipeline
from tidemark.runs.run import Run, StageRun

if TYPE_CHECKING:
    from tests.support.kept import KeptPipelines

PAGES = ("/", "/page/sales", "/page/purchases", "/page/payments", "/history", "/lineage", "/lineage/batch/2")
OF_A_ROW = ("/history?table=fact_payment&key=1&moment=2024-11-10T00:00", "/lineage?table=fact_payment&key=1")
SCREENSHOTS = Path(__file__).parents[2] / "docs" / "screenshots"
# Scrolls to the next figure that has not come yet, and says whether there is one.
NEXT_CARD = "() => [...document.querySelectorAll('article[hx-get]')].slice(0, 1).map(e => e.scrollIntoView()).length"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)


@dataclass(frozen=True)
class Shop:
    """A pipeline of totesys and the address of its pages."""

    rig: Rig
    pipeline: Pipeline
    address: str


def runs(now: datetime) -> list[Run]:
    """Give a run that went well and one that failed."""
    stages = tuple(StageRun(name, 1.5, (3,), 40) for name in ("ingest", "transform", "load"))
    return [
        Run("a", "run", now - timedelta(hours=1), 4.6, 0, "ok", stages=stages),
        Run("b", "run", now, 1.6, 3, "TransientError", "the warehouse was away", stages[:1]),
    ]


@pytest.fixture(scope="module")
def shop(
    kept_pipelines: "KeptPipelines", postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Shop]:
    place = str(tmp_path_factory.mktemp("dashboard") / "lake")
    rig = kept_pipelines.copy("totesys after 3 batches", small_totesys(3), place)
    make = wiring(rig, place)
    for run in runs(make().clock()):
        make().records.keep(run)
    with serving(make) as address:
        yield Shop(rig, make(), address)
    postgres.drop(database_of(rig.warehouse_url))


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as found:
        yield found


def visit(page: Page, url: str) -> None:
    """Open a page, and let every figure of it come, as somebody who scrolls down sees them."""
    page.goto(url)
    while page.evaluate(NEXT_CARD):
        page.wait_for_timeout(20)
    expect(page.locator(".waiting")).to_have_count(0)
    page.evaluate("scrollTo(0, 0)")


def tile(page: Page, name: str) -> str:
    """Give the number of a tile in full."""
    return page.locator(f"dl.tiles div:has(dt:text-is('{name}')) dd").first.get_attribute("title") or ""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_page_opens_and_everybody_can_use_it(shop: Shop, browser: Browser, scheme: str) -> None:
    # The colours of a page are those of the others.
    paths = PAGES if scheme == "light" else ("/", "/page/payments")
    with opened(browser, color_scheme=scheme) as (page, seen):
        for path in (*paths, *OF_A_ROW):
            visit(page, shop.address + path)
            if path in ("/page/purchases", "/history", "/lineage"):
                # They are made like others, and the check takes a second for each page.
                continue
            for summary in page.locator("summary").all()[:2]:
                summary.click()
            found = Axe().run(page)

            assert found.violations_count == 0, f"{path}: {found.generate_report()}"
        assert seen.errors == []
        assert {url for url in seen.urls if not url.startswith(shop.address)} == set()


def test_the_one_page_has_everything_in_it_and_asks_nobody(shop: Shop, browser: Browser) -> None:
    orders = shop.rig.warehouse("select count(*) from fact_sales_order_current")[0][0]

    assert publish(shop.pipeline) == ""

    address = Path(str(shop.pipeline.processed.local_path(PAGE))).as_uri()
    for options in ({}, {"color_scheme": "dark"}, {"viewport": PHONE}, {"java_script_enabled": False}):
        with opened(browser, **options) as (page, seen):
            page.goto(address)
            expect(page.get_by_role("heading", name="The warehouse after batch 3")).to_be_visible()
            assert tile(page, "orders") == f"{orders:,}"
            page.get_by_role("link", name="Payments").click()
            expect(page.get_by_role("heading", name="Payments at a glance")).to_be_in_viewport()
            assert (seen.errors, {url.partition("#")[0] for url in seen.urls}) == ([], {address})
            if "java_script_enabled" in options:
                continue
            for summary in page.locator("summary").all()[:2]:
                summary.click()
            found = Axe().run(page)
            assert found.violations_count == 0, found.generate_report()
            assert page.evaluate(TOO_WIDE) == []


def test_a_script_that_came_into_the_one_page_would_not_run(shop: Shop, browser: Browser, tmp_path: Path) -> None:
    publish(shop.pipeline)
    text = shop.pipeline.processed.get(PAGE).decode()
    harm = "<script>document.title = 'harmed'</script><style>main { display: none }</style>"
    (tmp_path / "page.html").write_text(text.replace("<main", f"{harm}<main"), "utf-8")

    with opened(browser) as (page, seen):
        page.goto((tmp_path / "page.html").as_uri())
        expect(page.locator("main")).to_be_visible()
        expect(page).to_have_title("totesys · Tidemark")
        assert len([each for each in seen.errors if "Content Security Policy" in each]) == 2


def test_health_is_said_in_words_and_follows_what_runs(shop: Shop, browser: Browser) -> None:
    with opened(browser) as (page, seen):
        page.clock.install()
        page.goto(shop.address)

        expect(page.get_by_role("heading", name="Red: in trouble")).to_be_visible()
        expect(page.get_by_text(re.compile("the last run failed at .*the warehouse was away"))).to_be_visible()
        expect(page.locator("#runs ~ ol > li")).to_have_count(2)
        expect(page.get_by_role("img", name="ingest 1.5 s, transform 1.5 s, load 1.5 s")).to_be_visible()
        shop.pipeline.records.keep(replace(runs(shop.pipeline.clock())[0], id="c", started_at=shop.pipeline.clock()))
        page.clock.fast_forward(61_000)
        expect(page.get_by_role("heading", name="Green: well")).to_be_visible()
        expect(page.locator("#runs ~ ol > li")).to_have_count(3)
        assert seen.errors == []


def test_light_and_dark_follow_the_reader(shop: Shop, browser: Browser) -> None:
    backs = []
    for scheme in ("light", "dark"):
        with opened(browser, color_scheme=scheme) as (page, _):
            page.goto(shop.address)
            backs.append(page.evaluate("getComputedStyle(document.documentElement).backgroundColor"))

    light, dark = (sum(map(int, re.findall(r"\d+", back))) for back in backs)
    assert light > 3 * 200
    assert dark < 3 * 60


def test_a_filter_narrows_down_every_figure_and_can_be_taken_back(shop: Shop, browser: Browser) -> None:
    orders = "select count(*) from fact_sales_order_current join dim_currency using (currency_id)"
    (everything,) = shop.rig.warehouse(orders)[0]
    (in_euro,) = shop.rig.warehouse(f"{orders} where currency_code = 'EUR'")[0]
    assert 0 < in_euro < everything

    with opened(browser) as (page, seen):
        visit(page, f"{shop.address}/page/sales")
        assert tile(page, "orders") == f"{everything:,}"
        page.get_by_label("Currency", exact=True).select_option("EUR")
        expect(page.locator(f'dd[title="{in_euro:,}"]').first).to_be_visible()
        expect(page.get_by_role("status")).to_have_text("Figures of EUR")
        assert "currency=EUR" in page.url
        page.reload()
        expect(page.locator(f'dd[title="{in_euro:,}"]').first).to_be_visible()
        page.go_back()
        expect(page.locator(f'dd[title="{everything:,}"]').first).to_be_visible()
        page.get_by_label("From", exact=True).fill("1999-01-01")
        page.get_by_label("To", exact=True).fill("1999-12-31")
        page.get_by_label("To", exact=True).press("Enter")
        expect(page.get_by_text("No row of the warehouse matches.").first).to_be_attached()
        assert tile(page, "orders") == "0"
        assert seen.errors == []


def test_a_figure_shows_its_numbers_and_its_sql(shop: Shop, browser: Browser) -> None:
    with opened(browser, permissions=["clipboard-read", "clipboard-write"]) as (page, seen):
        visit(page, f"{shop.address}/page/payments?currency=GBP")
        card = page.locator("#figure-payments_by_type")
        card.get_by_text("SQL").first.click()
        card.get_by_role("button", name="Copy").click()
        expect(card.get_by_role("button", name="Copied")).to_be_visible()
        statement = str(page.evaluate("navigator.clipboard.readText()"))
        card.get_by_text("Numbers").first.click()
        rows = [row.locator("td").all_inner_texts() for row in card.locator("tbody tr").all()]

        assert rows == [[str(value) for value in row] for row in shop.rig.warehouse(statement)]
        assert len(rows) > 1
        assert seen.errors == []


def test_nothing_is_wider_than_a_phone(shop: Shop, browser: Browser) -> None:
    with opened(browser, viewport=PHONE) as (page, _):
        for path in (*PAGES, *OF_A_ROW):
            visit(page, shop.address + path)
            for summary in page.locator("summary").all()[:4]:
                summary.click()

            assert page.evaluate("document.scrollingElement.scrollWidth") <= PHONE["width"], path
            assert page.evaluate(TOO_WIDE) == [], path


def test_everything_can_be_reached_by_keyboard(shop: Shop, browser: Browser) -> None:
    with opened(browser) as (page, seen):
        visit(page, f"{shop.address}/page/sales")
        page.keyboard.press("Tab")
        expect(page.get_by_text("Skip to content")).to_be_focused()
        page.keyboard.press("Enter")
        page.keyboard.press("Tab")
        expect(page.get_by_label("From", exact=True)).to_be_focused()
        page.get_by_label("Currency", exact=True).focus()
        page.keyboard.press("E")
        expect(page).to_have_url(re.compile("currency=EUR"))
        summary = page.locator("#figure-sales_totals summary").first
        expect(page.locator("#figure-sales_totals dd").first).to_be_visible()
        summary.focus()
        page.keyboard.press("Enter")
        expect(page.locator("#figure-sales_totals table")).to_be_visible()
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        assert seen.errors == []


def test_a_row_can_be_followed_from_its_life_to_its_line(shop: Shop, browser: Browser) -> None:
    key = shop.rig.warehouse("select payment_id from fact_payment group by 1 order by count(*) desc, 1 limit 1")[0][0]

    with opened(browser) as (page, seen):
        page.goto(f"{shop.address}/history")
        page.get_by_label("Table", exact=True).select_option("fact_payment")
        page.get_by_label("Key", exact=True).fill(str(key))
        page.get_by_role("button", name="Show its life").click()
        expect(page.get_by_text("version 1: the first")).to_be_visible()
        page.get_by_role("link", name="where version 1 comes from").click()
        expect(page.get_by_label("The line of the change log")).to_contain_text(f'"payment_id": {key}')
        page.get_by_role("link", name="batch 1", exact=True).first.click()
        expect(page.get_by_role("heading", name="Batch 1")).to_be_visible()
        assert seen.errors == []


def test_without_scripts_the_pages_can_still_be_read(shop: Shop, browser: Browser) -> None:
    with opened(browser, java_script_enabled=False) as (page, _):
        page.goto(f"{shop.address}/page/payments")
        page.get_by_label("Currency", exact=True).select_option("GBP")
        page.get_by_role("button", name="Show").click()
        assert "currency=GBP" in page.url
        page.get_by_role("link", name="Paid against due by currency").click()
        expect(page.locator("svg.chart")).to_be_visible()


def test_a_warehouse_that_is_away_or_empty_is_said_on_the_page(
    browser: Browser, new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    empty = new_rig(postgres.template("no tables", lambda _: None))
    away = wiring(empty, tmp_path / "lake", warehouse_url="postgresql://nobody@127.0.0.1:1/none")

    for make, said in ((away, "The warehouse cannot be asked."), (wiring(empty, tmp_path / "lake"), "no batch yet")):
        with serving(make) as address, opened(browser) as (page, seen):
            for path in PAGES[:-1]:
                assert page.goto(address + path).status == 200, path  # type: ignore[union-attr]
            visit(page, f"{address}/page/sales")
            expect(page.get_by_text(said).first).to_be_visible()
            assert Axe().run(page).violations_count == 0
            assert seen.errors == []


def test_the_screenshots_can_be_taken_anew(browser: Browser, pytestconfig: pytest.Config) -> None:
    address = pytestconfig.getoption("screenshots")
    if not address:
        names = {path.name for path in SCREENSHOTS.glob("*.png")}
        text = "".join(path.read_text("utf-8") for path in (Path(__file__).parents[2] / "docs").glob("*.md"))
        assert names == set(re.findall(r"\(screenshots/([\w-]+\.png)\)", text))
        assert [path.name for path in SCREENSHOTS.glob("*.png") if path.stat().st_size > 150_000] == []
        return
    home = address.rstrip("/")
    for name, path, options in (
        ("health", "/", {"viewport": {"width": 1280, "height": 1120}}),
        ("sales", "/page/sales", {}),
        ("payments-dark", "/page/payments", {"color_scheme": "dark"}),
        ("sales-phone", "/page/sales?currency=EUR", {"viewport": {"width": 360, "height": 1200}}),
    ):
        with opened(browser, **options) as (page, _):
            visit(page, home + path)
            page.screenshot(path=SCREENSHOTS / f"{name}.png")
    with opened(browser) as (page, _):
        page.goto(home)
        first = page.locator("#batches ~ ol .when").last.inner_text().replace(" ", "T")
        visit(page, f"{home}/history?moment={first}")
        changed = page.locator("article", has_text="Newest changes of fact_sales_order")
        changed.locator("li", has_text="new version").first.get_by_role("link").click()
        page.screenshot(path=SCREENSHOTS / "history.png")
        page.get_by_role("link", name=re.compile("where version")).last.click()
        page.screenshot(path=SCREENSHOTS / "lineage.png")
