"""What a table of a source is taken for, and the plain names of a new star."""

import pytest

from tidemark.log.columns import Column
from tidemark.mirror import Scope
from tidemark.modelling.catalogue import Reference, Relation
from tidemark.modelling.guesses import created_of, likely_references, roles_of, updated_of
from tidemark.modelling.naming import free, in_toml, plain

STAMP, ZONED = "timestamp(3) without time zone", "timestamp with time zone"


def relation(name: str, points_at: str = "", *more: tuple[str, str], **known: object) -> Relation:
    """Make a table with a key, references to other tables, and more columns."""
    others = points_at.split()
    columns = [("id", "integer"), *((f"{other}_id", "integer") for other in others), *more]
    references = [Reference((f"{other}_id",), ("public", other), ("id",), is_valid=True) for other in others]
    made = tuple(Column(*column, nullable=False) for column in columns)
    return Relation("public", name, made, ("id",), references=tuple(references), **known)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "name",
    [
        "last_updated",
        "last_update",
        "updated_at",
        "UpdatedAt",
        "modified",
        "ModifiedDate",
        "date_modified",
        "row_change_ts",
    ],
)
def test_a_stamp_is_found_by_its_name(name: str) -> None:
    found = updated_of(relation("a", "", (name, STAMP)))

    assert found is not None
    assert (found.column, "decide" in found.reason) == (name, True)


@pytest.mark.parametrize(
    "column", [("updated_by", "text"), ("update_count", STAMP), ("changed", "date"), ("paid_at", ZONED)]
)
def test_another_column_is_no_stamp(column: tuple[str, str]) -> None:
    assert updated_of(relation("a", "", column)) is None


def test_what_a_trigger_sets_wins_over_a_name() -> None:
    table = relation("a", "", ("updated_at", ZONED), ("seen", ZONED), stampers=('begin new . "seen" := now(); end',))

    found = updated_of(table)

    assert found is not None
    assert (found.column, found.reason) == ("seen", "a trigger sets it at each update")


def test_a_stamp_with_a_default_wins_over_one_without() -> None:
    table = relation("a", "", ("modified", STAMP), ("updated", STAMP), defaults={"updated": "now()"})

    assert getattr(updated_of(table), "column", None) == "updated"
    assert created_of(table) is None
    assert getattr(created_of(relation("a", "", ("create_date", "date"))), "column", None) == "create_date"


def test_facts_are_what_points_and_dimensions_what_is_pointed_at() -> None:
    tables = [
        relation("country"),
        relation("buyer", "country", ("born", "date")),
        relation("article", "kind grower", ("price", "real")),
        relation("kind"),
        relation("grower"),
        relation("purchase", "buyer article country", ("ordered_on", "date")),
        relation("line", "purchase article", ("quantity", "smallint")),
        relation("label", "article kind"),
        relation("note", "buyer", ("words", "text")),
        relation("log", "", ("day", "date"), ("cost", "numeric(10,2)")),
    ]

    roles = roles_of(tables)

    assert [name for (_, name), role in roles.items() if role.is_fact] == ["purchase", "line", "label", "log"]
    assert roles["public", "purchase"].reason == (
        "it points at article, buyer and country; line points at it; it has dates (ordered_on); decide: a dimension"
        " would keep the latest values alone"
    )


def test_columns_that_are_called_like_a_key_point_at_its_table_as_well() -> None:
    tables = [
        relation("Buyer"),
        Relation("public", "shop", (Column("shop_no", "bigint", nullable=False),), ("shop_no",)),
        relation("sale", "", ("buyer_id", "integer"), ("shop_no", "bigint"), ("shop_id", "text"), ("cost", "numeric")),
    ]

    assert likely_references(tables) == {
        ("public", "sale"): {"buyer_id": ("public", "Buyer"), "shop_no": ("public", "shop")}
    }
    assert [role.is_fact for role in roles_of(tables).values()] == [False, False, True]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("order_id", "order_id"),
        ("CustomerID", "customer_id"),
        ("HTTPStatus Code", "http_status_code"),
        ("Größe", "grosse"),
        ("2nd", "n_2nd"),
        ("имя", "имя"),
        ("列 2", "2"),
        ("!!", "unnamed"),
        ("x" * 60, "x" * 55),
        ("я" * 60, "я" * 27),
    ],
)
def test_a_name_becomes_plain(name: str, expected: str) -> None:
    assert plain(name) == {"2": "n_2"}.get(expected, expected)


def test_names_are_quoted_where_they_have_to_be() -> None:
    assert [in_toml(name) for name in ("a-1", 'a"b', "a\x7f")] == ["a-1", '"a\\"b"', '"a\\u007f"']
    assert [free("a", {"a", "a_2"}), free("b", {"a"})] == ["a_3", "b"]


def test_patterns_choose_tables_with_and_without_their_schema() -> None:
    choice = Scope(schemas=("public", "sales"), include=("order*", "sales.*"), exclude=("*_old",))

    places = [("public", "orders"), ("sales", "x"), ("sales", "x_old"), ("other", "orders")]
    assert [choice.takes(*place) for place in places] == [True, True, False, False]
