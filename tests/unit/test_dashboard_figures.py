"""The figures of a model: what their first comments may say, and what is said of mistakes in them."""

import re
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.dashboard.cards import runnable
from tidemark.dashboard.figures import Figure, front_matter, pages_of, read_figures, slug
from tidemark.errors import ConfigError
from tidemark.model_reader import find_model, load_model
from tidemark.modelling.check import check

TOTESYS = find_model("totesys")
GOOD = "-- title: A\n-- page: Sales\n-- chart: bars\n-- x: a\n-- y: b, c\n-- filters: dates, currency\nselect 1;\n"


def written(folder: Path, text: str, name: str = "figure") -> Path:
    (folder / "dashboard" / "filters").mkdir(parents=True)
    (folder / "dashboard" / f"{name}.sql").write_bytes(text.encode(errors="surrogateescape"))
    (folder / "dashboard" / "filters" / "currency.sql").write_text("-- title: Money\nselect 1;\n")
    return folder


def problems(folder: Path, text: str, name: str = "figure") -> tuple[str, ...]:
    with pytest.raises(ConfigError) as caught:
        read_figures(written(folder, text, name))
    return caught.value.problems


def test_a_figure_says_in_its_first_comments_how_it_is_drawn(tmp_path: Path) -> None:
    (figure,), (currency,) = read_figures(written(tmp_path, GOOD))

    assert figure == Figure(
        "figure", "A", "Sales", "select 1", chart="bars", x="a", y=("b", "c"), filters=("dates", "currency")
    )
    assert figure.parameters == ("first", "last", "currency")
    assert (currency.name, currency.title, currency.sql) == ("currency", "Money", "select 1")


def test_a_model_without_figures_has_none(tmp_path: Path) -> None:
    assert read_figures(tmp_path) == ((), ())


@pytest.mark.parametrize(
    ("instead_of", "text", "problem"),
    [
        ("-- title: A\n", "", ": has no title: expected a line -- title: …"),
        ("-- x: a\n", "", ": has no x, which a chart bars needs: expected a column's name, as -- x: …"),
        ("chart: bars", "chart: pie", ":3: chart is 'pie': expected one of tiles, lines"),
        ("dates, currency", "dates, colour", ":6: there is no filter 'colour': expected some of currency, dates"),
        ("-- x: a", "-- colour: red\n-- x: a", ":4: 'colour' means nothing here: expected one of title, page"),
        ("-- x: a", "-- position: top\n-- x: a", ":4: position is 'top': expected a number"),
        ("select 1;", "", ": has no statement, or several: expected one SELECT below the first comments"),
        ("select 1;", "select 1; drop table a", ": has no statement, or several: expected one SELECT below"),
        ("title: A", "title: \udce4", ": cannot be read: 'utf-8' codec can't decode byte"),
    ],
)
def test_a_mistake_is_named_with_its_file_and_line(tmp_path: Path, instead_of: str, text: str, problem: str) -> None:
    (found,) = problems(tmp_path, GOOD.replace(instead_of, text))

    assert found.startswith(f"dashboard/figure.sql{problem}")


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    assert len(problems(tmp_path, "-- chart: pie\nselect 1", name="Pie")) == 4


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_any_text_can_be_parted_into_comments_and_a_statement(text: str) -> None:
    said, statement = front_matter(text)

    assert all(value == value.strip() and line > 0 for value, line in said.values())
    assert statement.rstrip(";").strip() in text or not statement


def test_pages_come_in_the_order_of_their_figures() -> None:
    figures, _ = read_figures(TOTESYS)

    assert list(pages_of(figures)) == ["Sales", "Purchases", "Payments", "History"]


def test_pages_have_names_that_fit_a_url() -> None:
    assert [slug(name) for name in ("Sales", "Über uns & more", "…")] == ["sales", "ber-uns-more", "page"]


def test_the_figures_of_totesys_use_each_parameter_that_their_filters_give() -> None:
    figures, filters = read_figures(TOTESYS)
    used = {figure.name: set(re.findall(r"%\((\w+)\)s", figure.sql)) for figure in figures}

    assert used == {figure.name: set(figure.parameters) for figure in figures}
    assert {name for figure in figures for name in figure.filters} - {"dates", "moment"} == {
        each.name for each in filters
    }


def test_figures_do_not_change_what_a_model_makes(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(TOTESYS, tmp_path / "totesys"))
    before = load_model(str(copy)).hash
    (copy / "dashboard" / "sales_totals.sql").unlink()

    assert load_model(str(copy)).hash == before


def test_model_check_names_a_mistake_in_a_figure(tmp_path: Path) -> None:
    copy = Path(shutil.copytree(TOTESYS, tmp_path / "totesys"))
    (copy / "dashboard" / "pie.sql").write_text("-- title: A\n-- page: B\n-- chart: pie\nselect 1;\n")

    (found,) = check(str(copy)).problems

    assert (found.file, found.line, found.problem) == ("dashboard/pie.sql", 3, "chart is 'pie'")


def test_a_copied_statement_has_its_values_as_literals() -> None:
    sql = "select * from t where a = %(a)s and b like '50%%' and c = %(c)s"

    assert runnable(sql, {"a": "it's", "c": None}) == "select * from t where a = 'it''s' and b like '50%' and c = NULL;"
