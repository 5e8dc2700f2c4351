"""The dashboard over HTTP, on a pipeline of totesys and on a mirror."""

import html
import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import psycopg
import pytest

from tests.support.dashboard import Reply, get, only_asked, serving, wiring
from tests.support.kept import small_totesys
from tests.support.mirror import mirror_rig
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.small_source import write_model
from tidemark.dashboard.cards import runnable
from tidemark.dashboard.export import export_pages
from tidemark.dashboard.figures import read_figures
from tidemark.dashboard.filters import read_chosen
from tidemark.dashboard.one_page import one_page
from tidemark.dashboard.published import PAGE, publish
from tidemark.mirror import Scope
from tidemark.pipeline import Pipeline
from tidemark.warehouse.roles import ROLES, role_sql

if TYPE_CHECKING:
    from tests.support.kept import KeptPipelines

TOKEN = "a1b2c3d4e5f6a7b8"  # noqa: S105 -- of this test alone
BATCHES = 3


@pytest.fixture(scope="module")
def kept(
    kept_pipelines: "KeptPipelines", postgres: Postgres, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[Rig, str]]:
    """One pipeline for all tests that only ask, and where it lies."""
    place = str(tmp_path_factory.mktemp("dashboard") / "lake")
    with only_asked(kept_pipelines, postgres, place, BATCHES) as rig:
        yield rig, place


@pytest.fixture
def rig(kept: tuple[Rig, str]) -> Rig:
    return kept[0]


@pytest.fixture
def make(kept: tuple[Rig, str]) -> Callable[[], Pipeline]:
    return wiring(*kept)


@pytest.fixture(scope="module")
def address(kept: tuple[Rig, str]) -> Iterator[str]:
    with serving(wiring(*kept)) as found:
        yield found


ITEMS = """
[source.item]
key = ["shop", "number"]
[source.sale]
key = ["sale_id"]
[star.dim_item]
kind = "dimension"
history = true
key = ["shop", "number"]
reads = ["item"]
[star.fact_sale]
kind = "fact"
key = ["sale_record_id"]
driving = "sale"
source_key = ["sale_id"]
reads = ["sale"]
"""
FILES_OF_ITEMS = {
    "dimension/item.sql": "select shop, number, name from item",
    "fact/sale.sql": "select sale_id, amount from sale",
    "source.toml": """
[item]
shop = "text not null"
number = "integer not null"
name = "text"
[sale]
sale_id = "integer not null"
amount = "integer"
""",
}


def text_of(reply: Reply) -> str:
    """Give what a person reads of a page."""
    assert reply.status == 200, reply.text
    words = " ".join(html.unescape(re.sub(r"<[^>]+>", " ", reply.text)).split())
    return re.sub(r" ([,;:.])", r"\1", words)


def shown_sql(reply: Reply) -> str:
    (found,) = re.findall(r"<pre[^>]*aria-label=\"SQL of[^>]*><code>(.*?)</code>", reply.text, re.DOTALL)
    return html.unescape(found)


def numbers_of(reply: Reply) -> list[list[str]]:
    rows = re.findall(r"<tr>\n(.*?)</tr>", reply.text.partition("<tbody>")[2].partition("</tbody>")[0], re.DOTALL)
    return [[html.unescape(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)] for row in rows]


def test_health_shows_every_place_and_the_last_batches(rig: Rig, address: str) -> None:
    text = text_of(get(address))

    assert f"warehouse {BATCHES} " in text
    assert "Empty: the star took every row." in text
    assert "ingest: poll the source" in text
    assert len(re.findall(r"batch \d+ [\d,]+ inserted", text)) == BATCHES
    assert f"{rig.manifests()[0].changes:,} inserted, 0 updated, 0 deleted" in text
    assert re.search(r"ingestion bucket [\d.]+ [KM]iB in \d+ objects", text_of(get(address, "/health/size")))


def test_every_figure_of_totesys_says_what_its_sql_says(rig: Rig, address: str) -> None:
    figures, _ = read_figures(rig.model.directory)
    department, currency = rig.warehouse(
        "select department_name, currency_code from fact_purchase_orders_current"
        " join dim_staff using (staff_id) join dim_currency using (currency_id)"
        " where department_name in (select department_name from fact_sales_order_current"
        " join dim_staff on staff_id = sales_staff_id) group by 1, 2 order by count(*) desc limit 1"
    )[0]
    query_of = {
        "dates": "first=2022-01-01&last=2025-12-31",
        "currency": f"currency={currency}",
        "department": f"department={quote(department)}",
    }

    for figure in figures:
        chosen = "&".join(query_of.get(each, "moment=2024-11-10T00:00") for each in figure.filters)
        reply = get(address, f"/figure/{figure.name}?{chosen}")

        expected = rig.warehouse(shown_sql(reply))
        tiles = [re.findall(r'<dd title="([^"]*)"', reply.text)]
        found = tiles if figure.chart == "tiles" else numbers_of(reply)
        assert found == [[plain(value) for value in row] for row in expected], figure.name
        assert "cannot be drawn" not in reply.text
        assert expected, f"{figure.name} has nothing to compare"


def plain(value: object) -> str:
    return f"{value:,}" if isinstance(value, (int, float)) or hasattr(value, "as_tuple") else str(value)


def test_filters_narrow_a_figure_down(rig: Rig, address: str) -> None:
    (all_orders,) = rig.warehouse("select count(*) from fact_sales_order_current")[0]
    (some_orders,) = rig.warehouse(
        "select count(*) from fact_sales_order_current join dim_currency using (currency_id)"
        " where currency_code = 'GBP' and created_date >= '2024-11-05'"
    )[0]
    assert 0 < some_orders < all_orders

    assert f'<dd title="{all_orders}">' in get(address, "/figure/sales_totals").text.replace(",", "")
    narrowed = get(address, "/figure/sales_totals?currency=GBP&first=2024-11-05").text
    assert f'<dd title="{some_orders}">' in narrowed.replace(",", "")


@pytest.mark.parametrize("value", ["' or 1=1 --", "%s", "%(first)s", "{x}", "\\", "EUR'; drop table dim_currency; --"])
def test_a_value_of_a_filter_is_never_read_as_sql(rig: Rig, address: str, value: str) -> None:
    reply = get(address, f"/figure/sales_totals?currency={quote(value)}")

    assert '<dd title="0">0</dd>' in reply.text
    assert rig.warehouse(shown_sql(reply)) == [(0, 0, 0, 0)]
    assert rig.count("dim_currency") > 0


def test_a_value_of_a_row_is_never_read_as_html(kept_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = kept_rig(f"totesys after {BATCHES} batches", small_totesys(BATCHES))
    trap = "\"'><script>alert(1)</script>{{ 1234 * 1234 }}\u202e"
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute("update dim_staff set first_name = %s, department_name = %s", [trap, trap])

    with serving(wiring(rig, tmp_path / "lake")) as address:
        for path in ("/figure/sales_units_by_staff", "/page/sales", f"/page/sales?department={quote(trap)}"):
            page = get(address, path).text

            assert "&lt;script&gt;alert(1)" in page
            assert "<script>" not in page
            assert "1522756" not in page
            assert "\u202e" not in page


def test_a_page_offers_what_the_model_filters_by(rig: Rig, address: str) -> None:
    page = get(address, "/page/sales?currency=EUR&first=x").text

    currencies = [row[0] for row in rig.warehouse("select currency_code from dim_currency order by 1")]
    assert re.findall(r"<option(?: selected)?>([A-Z]{3})</option>", page) == currencies
    assert "<option selected>EUR</option>" in page
    assert "expected a day such as 2024-11-30, got &#39;x&#39;; it is left out" in page
    assert page.count("hx-get=") == 1 + page.count("<article")


def test_an_answer_is_kept_until_the_next_batch(kept_rig: Callable[..., Rig], tmp_path: Path) -> None:
    rig = kept_rig(f"totesys after {BATCHES} batches", small_totesys(BATCHES))
    with serving(wiring(rig, tmp_path / "lake")) as address:
        before = get(address, "/figure/sales_totals").text
        with psycopg.connect(rig.warehouse_url) as connection:
            connection.execute("delete from fact_sales_order where sales_order_id <= 10")
        kept = get(address, "/figure/sales_totals").text
        sales = get(address, "/page/sales").text
    with serving(wiring(rig, tmp_path / "lake")) as fresh:
        renewed = get(fresh, "/figure/sales_totals").text

    tiles = [re.findall(r"<dd[^>]*>", page) for page in (before, kept, renewed)]
    assert tiles[0] == tiles[1] != tiles[2]
    # What is known needs no second request.
    assert re.search(r'<article[^>]*id="figure-sales_totals">', sales)


def test_the_life_of_a_row_shows_what_changed(rig: Rig, address: str) -> None:
    key, versions = rig.warehouse(
        "select sales_order_id, count(*) from fact_sales_order group by 1 order by 2 desc, 1 limit 1"
    )[0]
    first, second = rig.versions("fact_sales_order", key)[:2]
    changed = [name for name in first if name.startswith("units") and first[name] != second[name]]

    text = text_of(get(address, f"/history?table=sales_order&key={key}"))

    assert versions > 1
    assert f"fact_sales_order: sales_order_id {key}" in text
    assert f"version {versions}: " in text
    for name in changed:
        assert f"{name.replace('_', ' ')} was {first[name]} → became {second[name]}" in text


def test_the_company_as_of_a_moment_stands_beside_now(rig: Rig, address: str) -> None:
    moment = rig.manifests()[0].captured_at.replace(tzinfo=None)
    then = rig.count(f"fact_sales_order_as_of('{moment}')")
    now = rig.count("fact_sales_order_current")
    since = rig.count(f"fact_sales_order where valid_from > '{moment}' and not is_deleted")

    text = text_of(get(address, f"/history?moment={moment.isoformat()}"))

    assert f"fact_sales_order {then:,} {now:,} {since:,} " in text
    assert "Revenue then and now" in text
    assert "Newest changes of fact_sales_order" in text


def test_every_version_leads_back_to_its_line_of_the_log(rig: Rig, address: str) -> None:
    key = rig.warehouse("select payment_id from fact_payment group by 1 order by count(*) desc, 1 limit 1")[0][0]
    lines = [line for line in rig.lines("payment") if line["payment_id"] == key]
    versions = rig.versions("fact_payment", key)
    assert len(versions) == len(lines) > 1

    for number, (version, line) in enumerate(zip(versions, lines, strict=True), start=1):
        page = get(address, f"/lineage?table=fact_payment&key={key}&version={number}")
        (found,) = re.findall(r'aria-label="The line of the change log"><code>(.*?)</code>', page.text, re.DOTALL)

        assert json.loads(html.unescape(found)) == line
        assert f"/lineage/batch/{version['batch_id']}" in page.text
        assert rig.manifests()[version["batch_id"] - 1].snapshot in page.text


def test_a_batch_leads_to_the_rows_that_it_made(rig: Rig, address: str) -> None:
    made = rig.warehouse("select sales_order_id from fact_sales_order where batch_id = 2 order by 1")

    text = text_of(get(address, "/lineage/batch/2"))

    assert f"fact_sales_order: {len(made):,} rows with the keys {'; '.join(str(key) for (key,) in made[:10])}" in text
    assert rig.manifests()[1].run_id in text


def test_pages_that_are_not_there_say_so(address: str) -> None:
    for path in ("/page/nope", "/figure/nope", "/nope", "/lineage/batch/99", "/static/../server.py", "/static/x.css"):
        reply = get(address, path)

        assert reply.status == 404, path
        assert "There is no such page" in reply.text
    assert "failed unexpectedly" not in get(address, "/lineage/batch/99999999999999999999").text


@pytest.mark.parametrize(
    ("path", "said"),
    [
        ("/history?table=fact_sales_order&key=x", "cannot read a value"),
        ("/history?table=fact_sales_order&key=99999", "has no version of fact_sales_order with sales_order_id 99999"),
        ("/history?table=fact_sales_order&key=1%00", "a key cannot hold the character zero"),
        ("/history?table=dim_staff&key=1", "has no history in the warehouse"),
        ("/lineage?table=nope&key=1", "has no table 'nope'"),
        ("/history?moment=noon", "expected a moment such as 2024-11-30T12:00, got 'noon'"),
    ],
)
def test_what_cannot_be_shown_is_said_in_words(address: str, path: str, said: str) -> None:
    assert said in text_of(get(address, path))


def test_a_warehouse_that_is_away_hides_nothing_else(kept: tuple[Rig, str]) -> None:
    rig, away = kept[0], "postgresql://nobody@127.0.0.1:1/none"

    with serving(wiring(*kept, warehouse_url=away)) as address:
        health, sales, batch = (text_of(get(address, path)) for path in ("/", "/page/sales", "/lineage/batch/2"))

    assert "The warehouse cannot be asked." in health
    assert f"star {BATCHES} " in health
    assert "Red: in trouble the warehouse cannot be asked: the database at 127.0.0.1:1/none is away" in health
    assert "The warehouse cannot be asked. the database at 127.0.0.1:1/none is away" in sales
    assert "What to do: see that the server is up" in sales
    assert rig.manifests()[1].run_id in batch


def test_an_empty_warehouse_says_what_brings_the_first_batch(
    new_rig: Callable[..., Rig], new_database: Callable[..., str], postgres: Postgres, tmp_path: Path
) -> None:
    rig = new_rig(postgres.template("nothing", lambda _: None))

    with serving(wiring(rig, tmp_path / "lake")) as address:
        assert "The warehouse has no batch yet. The command tidemark run brings" in text_of(get(address, "/page/sales"))
        assert "There is no batch yet." in text_of(get(address))
    with serving(wiring(rig, tmp_path / "lake", warehouse_url=new_database())) as address:
        assert "run tidemark init" in text_of(get(address))
        assert "tidemark init makes what is new" in text_of(get(address, "/page/sales"))


def test_settings_that_are_missing_are_named(kept: tuple[Rig, str], tmp_path: Path) -> None:
    with serving(wiring(*kept, warehouse_url=None)) as address:
        assert "TIDEMARK_WAREHOUSE_URL is not set" in text_of(get(address, "/page/sales"))
        assert "TIDEMARK_WAREHOUSE_URL is not set" in text_of(get(address))
    with serving(wiring(*kept, model=str(tmp_path / "none"))) as address:
        assert "no model" in text_of(get(address, "/history"))
        assert "The model's figures cannot be read. no model" in text_of(get(address))


def test_every_answer_forbids_what_comes_from_elsewhere(address: str) -> None:
    for path in ("/", "/page/sales", "/static/style.css", "/nope"):
        headers = get(address, path).headers

        assert headers["content-security-policy"].startswith("default-src 'self'; ")
        assert "unsafe" not in headers["content-security-policy"]
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["cache-control"] == ("no-store" if path[1:2] != "s" else "private, max-age=31536000, immutable")
        assert "server" not in headers


def test_a_name_that_somebody_else_leads_here_is_refused(address: str) -> None:
    assert get(address, Host="evil.example").status == 421
    assert get(address, Host="localhost:80").status == 200


def test_a_token_is_asked_for_once_and_kept_in_a_cookie(make: Callable[[], Pipeline]) -> None:
    with serving(make, token=TOKEN) as address:
        assert [get(address, path).status for path in ("/", "/?token=wrong", "/static/style.css")] == [401] * 3
        entered = get(address, f"/history?token={TOKEN}&key=%22%3E")
        cookie = entered.headers["set-cookie"]

        assert get(address, "/", Cookie=cookie.partition(";")[0]).status == 200
        assert get(address, "/", Cookie="tidemark_dashboard=wrong").status == 401
        assert 'content="0; url=/history?key=%22%3E"' in entered.text
        for path in ("//evil.example", "/%5Cevil.example", "/%2F%5C%09/evil.example"):
            assert re.search(r'url=/[\w%.]+(/[\w.]+)?"', get(address, f"{path}?token={TOKEN}").text), path
    assert TOKEN not in entered.text
    assert {"HttpOnly", "SameSite=strict"} <= {part.strip() for part in cookie.split(";")}


def test_the_one_page_stays_while_the_warehouse_is_away(rig: Rig, make: Callable[[], Pipeline], tmp_path: Path) -> None:
    place = str(tmp_path / "processed")
    away = wiring(rig, "unused", processed=place, warehouse_url="postgresql://nobody@127.0.0.1:1/none")

    assert publish(wiring(rig, "unused", processed=place)()) == ""
    before = (tmp_path / "processed" / PAGE).read_bytes()

    assert publish(away()).startswith("the page of the dashboard could not be written: the database at 127.0.0.1:1")
    assert (tmp_path / "processed" / PAGE).read_bytes() == before
    assert "The warehouse cannot be asked" in one_page(away())
    assert f"The warehouse after batch {BATCHES}" in one_page(make(), timedelta(seconds=0.001))
    assert "took so long that nothing more was asked" in one_page(make(), timedelta(seconds=0.001))


def test_a_number_that_no_batch_has_is_no_page(address: str) -> None:
    digits = "9" * 5000

    assert get(address, f"/lineage/batch/{digits}").status == 404
    assert get(address, f"/lineage?table=fact_payment&key=1&version={digits}").status == 200


def test_the_role_of_the_dashboard_reads_what_the_pages_need_and_no_more(kept: tuple[Rig, str]) -> None:
    rig = kept[0]
    with psycopg.connect(rig.warehouse_url, autocommit=True) as connection:
        connection.execute(role_sql(rig.model, "dashboard").encode())
        connection.execute(f"alter role {ROLES['dashboard']} password 'x'".encode())
    url = re.sub("postgres(:[^@]*)?@", f"{ROLES['dashboard']}:x@", rig.warehouse_url, count=1)

    with serving(wiring(*kept, warehouse_url=url)) as address:
        pages = [get(address, path).text for path in ("/", "/page/sales", "/figure/sales_totals", "/lineage/batch/2")]
        pages += [get(address, "/history?moment=2024-11-14T00:00&table=fact_payment&key=1").text]
    assert [page for page in pages if "cannot be" in page] == []
    with psycopg.connect(url, autocommit=True) as connection, pytest.raises(psycopg.errors.Error):
        connection.execute("set default_transaction_read_only = off; delete from fact_payment")


def test_the_pages_can_be_written_as_files(rig: Rig, make: Callable[[], Pipeline], tmp_path: Path) -> None:
    names = export_pages(make, tmp_path / "site")
    pages = {name: (tmp_path / "site" / name).read_text("utf-8") for name in names if name.endswith(".html")}

    links = {link for page in pages.values() for link in re.findall(r'(?:href|src)="([^"#]+)', page)}
    assert {link for link in links if not (tmp_path / "site" / link).is_file()} == set()
    assert {"index.html", "page-sales.html", "lineage-batch-3.html", "figure-sales_totals.html"} <= pages.keys()
    assert not [name for name, page in pages.items() if re.search(r"<form|hx-get|Asking the warehouse", page)]
    chosen = read_chosen({}, [])
    figures, _ = read_figures(rig.model.directory)
    for figure in figures:
        if figure.page == "Sales":
            assert html.escape(runnable(figure.sql, chosen.parameters(figure)), quote=True).replace(
                "&#x27;", "&#39;"
            ) in pages["page-sales.html"].replace("&#34;", "&quot;")


def test_a_mirror_shows_how_its_tables_have_grown(postgres: Postgres, tmp_path: Path) -> None:
    with mirror_rig(postgres, str(tmp_path / "lake"), Scope()) as (rig, _):
        rig.change('create table "odd & name" (id integer primary key, step text, batch integer)')
        rig.change("""insert into "odd & name" select n, n, n from generate_series(1, 5) as n""")
        rig.run()
        rig.change('delete from "odd & name" where id = 1', """update "odd & name" set step = 'x' where id = 2""")
        rig.run()

        with psycopg.connect(rig.warehouse_url, autocommit=True) as connection:
            connection.execute(role_sql(rig.model, "dashboard").encode())
        role = re.sub("postgres(:[^@]*)?@", f"{ROLES['dashboard']}@", rig.warehouse_url, count=1)
        with serving(wiring(rig, tmp_path / "lake", warehouse_url=role)) as address:
            tables = get(address, "/page/tables").text
            (link,) = re.findall(r'<h2><a href="([^"]+)"', tables)
            figure = get(address, html.unescape(link))
            line = text_of(get(address, "/lineage?table=public.odd+%26+name&key=2"))
            life = text_of(get(address, "/history?table=public.odd+%26+name&key=2"))

    assert [row[1:] for row in numbers_of(figure)] == [["5", "5"], ["4", "7"]]
    assert "public.odd & name_history: rows over time" in html.unescape(tables)
    assert '"id": 2, "step": "x"' in line
    assert "step was 2 → became x" in life


def test_a_model_without_figures_has_those_of_its_tables_and_the_life_of_its_dimensions(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            connection.execute("create table item (shop text, number integer, name text, primary key (shop, number))")
            connection.execute("create table sale (sale_id integer primary key, amount integer)")
            connection.execute("insert into item values ('a, b', 1, 'bag'); insert into sale values (1, 5)")

    folder = write_model(tmp_path / "model", ITEMS, FILES_OF_ITEMS).directory
    rig = new_rig(postgres.template("items", build), model=str(folder))
    rig.run()
    rig.change("update item set name = 'sack'")
    rig.run()

    with serving(wiring(rig, tmp_path / "lake")) as address:
        tables = text_of(get(address, "/page/tables"))
        life = text_of(get(address, "/history?table=item&key=%22a,+b%22,1"))
        lineage = text_of(get(address, "/lineage?table=item&key=%22a,+b%22,1"))

    assert "dim_item: rows over time" in tables
    assert "fact_sale: rows over time" in tables
    assert "name was bag → became sack" in life
    assert "A row of this dimension is computed from whole tables, not of one line." in lineage
    assert "changes/item/" in lineage
