"""Which columns a SELECT only passes on: those it sees as text with all their digits, and no other."""

from collections.abc import Iterator

import pytest

from tidemark.lake.engine import Engine, open_engine
from tidemark.log.columns import Column
from tidemark.model import SourceTable, StarTable
from tidemark.star.passing import seen_by

COLUMNS = [
    Column("id", "numeric"),
    Column("Amount", "numeric(50,10)"),
    Column("fee", "numeric"),
    Column("n", "integer"),
]


@pytest.fixture(scope="module")
def engine() -> Iterator[Engine]:
    with open_engine([]) as opened:
        yield opened


@pytest.mark.parametrize(
    ("select", "as_text"),
    [
        ("select id, amount, fee, n from a", {"Amount", "fee"}),
        ("select * from a", {"Amount", "fee"}),
        ("select a.id, a.amount as total, 2 * fee as fee from a where n > 1", {"Amount"}),
        ("with x as (select id, amount as b, fee from a) select id, x.b, fee from x limit 1", {"Amount", "fee"}),
        ("with x as (select id, amount as b, fee from a) select id, max(b) over (), fee from x", {"fee"}),
        ("select id, amount, fee from a join c on a.fee = c.fee", {"Amount"}),
        ("select id, amount, fee from a left join c using (id)", set()),
        ("select id, cast(amount as varchar) as amount, fee from a", {"fee"}),
        ("select id, amount, coalesce(fee, 0) as fee from a", {"Amount"}),
        ("select id, amount as ref, fee from a", {"fee"}),
        ("select id, amount, row_number() over (order by fee) as place from a", {"Amount"}),
        ("select distinct id, amount, fee from a", set()),
        ("select id, amount, fee from a order by 2", set()),
        ("select id, amount, count(*) as n from a group by all", set()),
        ("select id, amount, fee from a union select 1, 2, 3", set()),
        ("select id, (select max(amount) from a) as amount, fee from a", set()),
        ("select id, amount, fee from a natural join c", set()),
        ("select * replace (fee + 1 as fee) from a", set()),
        ("select id, greatest(columns(*)) as g from a", set()),
        ("select id, b as amount, fee from a as t(id, b, fee, n)", set()),
    ],
)
def test_a_column_that_is_only_passed_on_is_seen_as_text(engine: Engine, select: str, as_text: set[str]) -> None:
    star = StarTable("dim_a", "dimension", ("id",), ("a",), select, references={"ref": "dim_b"})
    seen = seen_by(engine, star, {"a": SourceTable("a", ("id",))}, {"a": COLUMNS})["a"]

    assert {column.name for column in seen if column.type == "text"} == as_text
    assert [column.name for column in seen] == [column.name for column in COLUMNS]
