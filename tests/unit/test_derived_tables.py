"""The warehouse's tables that follow from a model's SELECTs and from the columns of the source."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.small_source import write_model
from tidemark.errors import ConfigError
from tidemark.log.columns import Column
from tidemark.model import Model
from tidemark.postgres.statements import split_statements
from tidemark.star.limits import known_limits_of, limits_of
from tidemark.tables.column_types import type_of_select, type_of_source
from tidemark.tables.statements import completed, lacking, warehouse_sql
from tidemark.warehouse.fact_views import generated

SOURCE = """
[item]
id = "bigint not null"
kind = "character(3) not null"
price = "numeric(18,2) not null"
sold = "timestamp(3) with time zone"
tags = "text[]"
day = "character varying not null"
[kind]
kind = "character(3) not null"
title = "character varying(40) not null"
"""
TOML = """
[source.item]
key = ["id"]
[source.kind]
key = ["kind"]
[star.fact_item]
kind = "fact"
key = ["record"]
driving = "item"
source_key = ["id"]
reads = ["item", "kind"]
{more}
[star.fact_item.references]
kind = "dim_kind"
day = "dim_day"
[star.dim_kind]
kind = "dimension"
key = ["kind"]
reads = ["kind"]
{dimension}
[star.dim_day]
kind = "calendar"
key = ["day"]
"""
ITEM = """
select i.id, i.kind, k.title, i.price as "Cost", i.price * 2 as "user", i.sold, i.tags, i.day,
    coalesce(k.title, '') as name, names.long
from item as i left join kind as k using (kind) left join names on names.kind = i.kind
"""
DERIVED = """create table fact_item (
    record bigint not null,
    id bigint not null,
    kind char(3) not null,
    title varchar(40),
    "Cost" numeric(18, 2) not null,
    "user" numeric(18, 2) not null,
    sold timestamptz(3),
    tags text,
    day date not null,
    name varchar not null,
    long varchar,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    constraint fact_item_pkey primary key (record),
    constraint fact_item_kind_fkey foreign key (kind)
        references dim_kind (kind),
    constraint fact_item_day_fkey foreign key (day)
        references dim_day (day),
    constraint fact_item_valid_to_check check (valid_to > valid_from)
)"""
NewModel = Callable[..., Model]


@pytest.fixture
def model(tmp_path: Path) -> NewModel:
    """A model with a fact, a dimension and a calendar, and no warehouse.sql but what is given."""

    def make(
        more: str = "", *, source: str | None = SOURCE, warehouse: str = "", item: str = ITEM, dimension: str = ""
    ) -> Model:
        files = {
            "fact/item.sql": item,
            "dimension/kind.sql": "select kind, title from kind",
            "dimension/day.sql": "select date_id as day, extract(year from date_id) as year from calendar",
            "seed/names.csv": "kind,long\na,b\n",
            "warehouse.sql": warehouse,
            **({} if source is None else {"source.toml": source}),
        }
        return write_model(tmp_path / "model", TOML.format(more=more, dimension=dimension), files)

    return make


def tables(model: Model) -> list[str]:
    return [each for each in split_statements(warehouse_sql(model)) if "create table" in each]


def test_a_dimension_with_a_history_gets_what_versions_need(model: NewModel) -> None:
    versions, fact = (each for each in tables(model(dimension="history = true")) if "dim_day (" not in each[:30])

    assert (
        versions
        == """create table dim_kind (
    kind_record_id bigint not null,
    kind char(3) not null,
    title varchar(40) not null,
    valid_from timestamp not null,
    is_deleted boolean not null,
    batch_id bigint not null,
    valid_to timestamp,
    constraint dim_kind_pkey primary key (kind_record_id),
    constraint dim_kind_valid_to_check check (valid_to > valid_from)
)"""
    )
    # A key with several versions is no aim of a foreign key, but its type is that of the reference.
    assert "references dim_kind" not in fact
    assert "    kind char(3) not null,\n" in fact


def test_a_dimension_that_marks_what_is_gone_gets_a_mark(model: NewModel) -> None:
    marked = next(each for each in tables(model(dimension="soft_delete = true")) if "dim_kind (" in each[:30])

    assert "    is_deleted boolean not null,\n    constraint dim_kind_pkey primary key (kind)" in marked


def test_a_star_table_costs_one_select_and_a_few_lines(model: NewModel) -> None:
    made = model()
    dimensions = ["create table dim_kind (", "create table dim_day ("]

    assert [each.partition("\n")[0] for each in tables(made)[:2]] == dimensions
    assert tables(made)[2] == DERIVED
    assert {name: (limit.type, limit.is_required) for name, limit in limits_of(made)["dim_day"].items()} == {
        "day": ("DATE", True),
        "year": ("BIGINT", True),
    }
    assert "comment on table fact_item is 'Each version of an item. Now: fact_item_current" in warehouse_sql(made)
    assert "comment on column fact_item.record is 'This version''s own number." in warehouse_sql(made)


def test_model_toml_says_what_does_not_follow(model: NewModel) -> None:
    said = 'types = { Cost = "numeric(10, 1)", tags = "json" }\nnullable = ["Cost"]\nnot_null = ["title"]'
    text = tables(model(said))[2]

    assert [line.strip(" ,") for line in text.splitlines() if "Cost" in line or "title" in line or "tags" in line] == [
        "title varchar(40) not null",
        '"Cost" numeric(10, 1)',
        "tags json",
    ]


def test_a_table_that_warehouse_sql_makes_is_taken_as_it_is(model: NewModel) -> None:
    own = "create table dim_kind (kind char(3) primary key, title text, more mood default 'x')"
    made = model(warehouse=f"create index on fact_item (sold);\ncreate type mood as enum ('x');\n{own};")

    found = [each.partition(" (")[0] for each in split_statements(warehouse_sql(made)) if not each.startswith("comm")]
    assert found == [
        "create type mood as enum",
        "create table dim_day",
        "create table dim_kind",
        "create table fact_item",
        "create index on fact_item",
    ]
    assert own in tables(made)
    assert [each.name for each in generated(made)][-2:] == ["fact_item_current", "fact_item_as_of"]


def test_what_model_toml_says_of_a_table_that_warehouse_sql_makes_is_refused(model: NewModel) -> None:
    made = model('nullable = ["title"]', warehouse="create table fact_item (record bigint)")

    with pytest.raises(ConfigError, match=r"\[star.fact_item\] has nullable, but warehouse.sql makes the table"):
        warehouse_sql(made)


@pytest.mark.parametrize(
    ("more", "item", "fault"),
    [
        (
            "",
            "select id, kind, day, nothing from item",
            "fact/item.sql cannot read the source's columns as the model has them: .*nothing",
        ),
        ("", "select id, kind, day, [1] as list from item", r"yields INTEGER\[\] for list, which the star cannot hold"),
        ("", "select id, kind, day, 1 as batch_id from item", "yields batch_id, which Tidemark itself gives to a row"),
        ("", "select id, day from item", "does not yield kind, which .star.fact_item. references names"),
        ("", "select kind, day from item", "does not yield id, which .star.fact_item. source_key names"),
        ('types = { other = "text" }', ITEM, "does not yield other, which .star.fact_item. types names"),
        ('nullable = ["id"]', ITEM, "nullable names id, which is in a key or in not_null"),
        ("", "select *, 1 as ID from item", "yields two columns id"),
        ("", "selec 1", "fact/item.sql cannot read the source's columns as the model has them: .*syntax error"),
        ("", "select 1; select 2", "fact/item.sql is not one SELECT"),
    ],
)
def test_what_bars_the_derivation_is_named_and_what_can_be_derived_is(
    model: NewModel, more: str, item: str, fault: str
) -> None:
    made = model(more, item=item)

    with pytest.raises(ConfigError, match=fault) as raised:
        warehouse_sql(made)
    assert raised.value.advice.startswith(f"mend the model at {made.directory}; a column that a SELECT reads has to be")
    assert [name for name, limits in known_limits_of(made).items() if limits] == ["dim_kind", "dim_day"]


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ('types = "text"', "types is 'text': expected a PostgreSQL type for each column's name"),
        ("types = { id = 1 }", "expected a PostgreSQL type for each column's name"),
        ('nullable = "id"', "nullable is 'id': expected a list of names"),
        ("not_null = [1]", r"not_null is \[1\]: expected a list of names"),
    ],
)
def test_a_mistake_in_model_toml_is_named(model: NewModel, more: str, problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        model(more)


def test_the_columns_of_a_table_that_source_toml_lacks_come_from_elsewhere_and_count_in_the_hash(
    model: NewModel,
) -> None:
    made = model(source=SOURCE.partition("[kind]")[0])
    kind = [Column("kind", "character(3)", nullable=False), Column("title", "text")]

    assert lacking(made) == ["kind"]
    whole = completed(made, {"kind": kind, "item": []})
    assert (lacking(whole), list(whole.columns)) == ([], ["kind"])
    assert "title text" in tables(whole)[0]
    wider = completed(made, {"kind": [*kind, Column("more", "text")]})
    other = completed(made, {"kind": [kind[0], Column("title", "character varying")]})
    assert wider.hash == whole.hash
    assert completed(whole, {"kind": [Column("kind", "text")]}) is whole
    assert len({made.hash, whole.hash, other.hash}) == 3


def test_a_model_that_knows_all_columns_takes_none_from_elsewhere(model: NewModel) -> None:
    made = model()
    before = made.hash
    assert completed(made, {"kind": [Column("kind", "text")]}) is made
    (made.directory / "source.toml").write_text(SOURCE.replace("varying(40)", "varying(50)"))
    assert replace(made).hash != before


@pytest.mark.parametrize(
    ("source", "column", "key"),
    [
        ("smallint", "smallint", "smallint"),
        ("numeric", "numeric", "numeric"),
        ("numeric(10,2)", "numeric(10, 2)", "numeric(10, 2)"),
        ("numeric(38,18)", "numeric(38, 18)", "numeric(38, 18)"),
        ("numeric(50,10)", "numeric", "numeric"),
        ("numeric(2,-3)", "numeric", "numeric"),
        ("character varying", "varchar", "varchar"),
        ("character varying(3)", "varchar(3)", "varchar(3)"),
        ("character(3)", "char(3)", "char(3)"),
        ("bpchar", "text", "text"),
        ("timestamp(3) without time zone", "timestamp(3)", "timestamp"),
        ("timestamp with time zone", "timestamptz", "timestamptz"),
        ("time(0) without time zone", "time(0)", "time"),
        ("time with time zone", "text", "text"),
        ("uuid", "uuid", "uuid"),
        ("jsonb", "jsonb", "text"),
        ("interval", "interval", "text"),
        ("inet", "inet", "inet"),
        ("bytea", "text", "text"),
        ("integer[]", "text", "text"),
        ("numeric(5,1)[]", "text", "text"),
        ("bit(3)", "text", "text"),
        ('public."My type"', "text", "text"),
    ],
)
def test_a_column_keeps_the_sources_type_where_the_star_can_hold_it(source: str, column: str, key: str) -> None:
    made = Column("a", source)
    assert (type_of_source(made, is_key=False), type_of_source(made, is_key=True)) == (column, key)


def test_what_a_select_computes_has_duckdbs_type() -> None:
    kinds = ["DECIMAL(38,0)", "HUGEINT", "TIMESTAMP WITH TIME ZONE", "VARCHAR", "INTEGER[]", "BLOB"]
    assert [type_of_select(kind) for kind in kinds] == [
        "numeric(38, 0)",
        "numeric(38)",
        "timestamptz",
        "varchar",
        None,
        None,
    ]
