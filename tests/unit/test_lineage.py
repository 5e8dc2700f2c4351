"""Of each column of a SELECT: which column of the source it is, and whether it can be null."""

import json

import duckdb
import pytest

from tidemark.tables.lineage import Yielded, lineage

# `a` and `b` are never null, `n` may be.
TABLES = {
    "t": tuple(Yielded(name, ("t", name), name != "n") for name in ("a", "b", "n")),
    "u": tuple(Yielded(name, ("u", name), is_required=True) for name in ("a", "c")),
}


def found(select: str) -> str | None:
    """Give the origins of a SELECT's columns, `?` for none; ! is never null."""
    row = duckdb.execute("select json_serialize_sql(?)", [select]).fetchone()
    assert row is not None
    columns = lineage(json.loads(row[0])["statements"][0]["node"], TABLES)
    if columns is None:
        return None
    return ", ".join(
        (".".join(each.origin) if each.origin else "?") + ("!" if each.is_required else "") for each in columns
    )


@pytest.mark.parametrize(
    ("select", "origins"),
    [
        ("select a, n as other, t.b, x.a from t, u as x", "t.a!, t.n, t.b!, u.a!"),
        ("with c as (select a as k, n from t), d as (select * from c) select K, n from D", "t.a!, t.n"),
        ("with c(x, y) as (select a, b from t) select y, x from c", "t.b!, t.a!"),
        ("select z.q from (select b from t) as z(q)", "t.b!"),
        ("select t.b, u.c from t left join u on t.a = u.a", "t.b!, u.c"),
        ("select t.b, u.c from t right join u on t.a = u.a", "t.b, u.c!"),
        ("select t.b, u.c from t full join u on t.a = u.a", "t.b, u.c"),
        ("select t.b, u.c from t, u where t.a = u.a", "t.b!, u.c!"),
        ("select b from t semi join u using (a)", "t.b!"),
        ("select * from t left join u using (a)", "t.a!, t.b!, t.n, u.c"),
        ("select * exclude (n) from t", "t.a!, t.b!"),
        ("select u.*, t.a from t, u", "u.a!, u.c!, t.a!"),
        ("select a from t union all select a from t", "t.a!"),
        ("select a from t union all select n from t", "?"),
        ("select a from t union all select a from u", "?!"),
        ("select a, b, count(*), sum(b) from t group by all", "t.a!, t.b!, ?!, ?"),
        ("select a, count(*) from t group by rollup (a)", "t.a, ?"),
        ("select cast(a as date), try_cast(a as date), cast(n as date) from t", "?!, ?, ?"),
        (
            "select a || b, a || n, upper(a), nullif(a, b), coalesce(n, a), coalesce(n, null) from t",
            "?!, ?, ?!, ?, ?!, ?",
        ),
        ("select a % 7, a % b, a / 0, a / 0.5, a // 2 from t", "?!, ?, ?, ?!, ?!"),
        (
            "select case when n then 1 else 2 end, case when n then 1 end, case n when 1 then n else 2 end from t",
            "?!, ?, ?",
        ),
        ("select n is null, a = b, a = n, a = b and n, not a, n is distinct from a from t", "?!, ?!, ?, ?, ?!, ?!"),
        ("select null, 1, '' from t", "?, ?!, ?!"),
        ("select a as k, k as again, k || b as more from t", "t.a!, t.a!, ?!"),
        ("select a, lag(b) over (order by a), (select max(c) from u) from t", "t.a!, ?, ?"),
        ("select a, i from t, range(3) as r(i)", "t.a!, ?"),
        (
            "with recursive r as (select 1 as i union all select i + 1 from r where i < 3) select a, i from t, r",
            "t.a!, ?",
        ),
    ],
)
def test_origin_and_null_of_each_column(select: str, origins: str) -> None:
    assert found(select) == origins


@pytest.mark.parametrize(
    "select",
    [
        "select * from range(3)",
        "select columns(*) from t",
        "select * replace (1 as a) from t",
        "select a from t natural join u",
        "select a from t full join u using (a)",
        "select a from t union by name select c from u",
    ],
)
def test_what_is_not_understood_is_not_guessed(select: str) -> None:
    assert found(select) is None
