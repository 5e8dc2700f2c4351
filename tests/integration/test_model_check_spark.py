"""`tidemark model check --engine spark`: what a SELECT means in DuckDB and not in Spark is named with file and line."""

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import psycopg
import pytest
import sqlglot

from tests.support.library import LIBRARY
from tests.support.spark import VERSIONS, spark_without_connect
from tidemark.capture.source_columns import read_columns
from tidemark.cli import run
from tidemark.errors import ConfigError, DataError, TidemarkError
from tidemark.lake.carrying import carried_over, faults_of_carrying
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.meanings import ALIKE, DOUBTS, TRAPS
from tidemark.lake.spark import SAIL, Spark, open_spark
from tidemark.lake.spark_rows import made_rows
from tidemark.lake.sqltext import Rows, Select, listed, quoted, select
from tidemark.log.columns import Column
from tidemark.model import SourceTable
from tidemark.model_reader import find_model, load_model
from tidemark.model_source import read_source
from tidemark.modelling.check import check
from tidemark.modelling.edge_rows import edge_rows
from tidemark.modelling.elsewhere import Elsewhere, compare, written
from tidemark.modelling.places import Places
from tidemark.star.star_sql import typed

MODELS = sorted(
    path.parent for place in (find_model("totesys").parent, LIBRARY.parent) for path in place.glob("*/model.toml")
)
# A machine whose clocks differ from UTC, also by what is no whole hour.
ELSEWHERE = "Asia/Kolkata"
SOURCE_TOML = """
[shelf]
shelf_id = "integer not null"
label = "text"
changed = "timestamp without time zone"

[loan]
loan_id = "integer not null"
shelf_id = "integer"
fee = "numeric(6,2)"
changed = "timestamp without time zone"
"""
EDGES = SourceTable("edges", ("id",))
COLUMNS = [
    Column("id", "integer", nullable=False),
    Column("whole", "integer"),
    Column("small", "smallint"),
    Column("large", "bigint"),
    Column("truth", "boolean"),
    Column("widest", "numeric(38,0)"),
    Column("finest", "numeric(38,38)"),
    Column("single", "real"),
    Column("words", "text"),
    Column("money", "numeric(10,2)"),
    Column("exact", "numeric(38,18)"),
    Column("float", "double precision"),
    Column("day", "date"),
    Column("moment", "timestamp without time zone"),
    Column("zoned", "timestamp with time zone"),
]
TYPES = {column.name: column.typed for column in COLUMNS}
# For each trap an expression that is one, and the same meant by both engines; none where Spark has no such thing.
TRAPPED = [
    ("cast(money as integer)", "cast(round(money) as integer)"),
    ("try_cast(words as integer)", "cast(round(try_cast(words as decimal(18, 6))) as integer)"),
    ("cast(zoned as varchar)", "cast(zoned at time zone 'UTC' as varchar)"),
    ("cast(float as varchar)", "float"),
    ("money / money", "cast(money as double) / nullif(cast(money as double), 0)"),
    ("avg(money) over ()", "cast(sum(money) over () as double) / nullif(count(money) over (), 0)"),
    ("3 / whole", "3 / nullif(whole, 0)"),
    ("regexp_replace(words, '[a-c]', 'x')", "regexp_replace(words, '[a-c]', 'x', 'g')"),
    ("dayofweek(day)", "date_diff('day', cast('0001-01-01' as date), day) % 7"),
    ("monthname(day)", "strftime(day, '%B')"),
    ("cast(moment as time)", "cast(moment as varchar)"),
    ("cast(round(money, 1) as integer)", "cast(round(money, 0) as integer)"),
    ("round(money, 1) / 3", "cast(round(money, 1) as double) / 3"),
    ("try_cast(left(words, 3) as integer)", "left(words, 3)"),
    ("id / 7.0", "id / cast(7.0 as double)"),
    ("try_cast(substring(words, 1, 4) as date)", "substring(words, 1, 4)"),
    ("regexp_replace(words, '[a-c]', '$0', 'g')", "regexp_replace(words, '[a-c]', 'S', 'g')"),
    ("substring(words, 0, 3)", "substring(words, 1, 3)"),
    ("extract(second from moment)", "extract(minute from moment)"),
    ("date_diff('month', date '2020-01-31', day)", "date_diff('day', date '2020-01-31', day)"),
    ("strftime(day, '%j')", "strftime(day, '%Y/%m/%d')"),
    ("floor(float)", "floor(money)"),
    ("sum(large) over ()", "sum(cast(large as decimal(38, 0))) over ()"),
    ("float || ''", "id || ''"),
    ("words like '%\\%'", "words like '%b%'"),
]
# Traps of which Sail knows nothing.
HIDDEN_BY_SAIL = [
    ("extract(dow from day)", "extract(day from day)"),
    ("round(id * cast(1.005 as double), 2)", "round(id * cast(1.005 as decimal(4, 3)), 2)"),
    ("day - date '2020-01-01'", "date_diff('day', date '2020-01-01', day)"),
    ("date_diff('day', timestamp '2020-01-01 12:00:00', moment)", "date_diff('day', date '2020-01-01', moment::date)"),
    ("left(words, -1)", "left(words, 1)"),
]
# What is known to mean the same, each in an expression over all edge rows.
ALIKE_HERE = [
    "truth and whole > 0 or not (truth)",
    "exists (select 1 from edges as other where other.id = edges.whole)",
    "whole in (1, 2) or whole between -5 and 5 or whole is null",
    "case when whole = 1 then 'one' when whole <> 2 then 'other' end",
    "if(large < 5, small, whole)",
    "large >= 0 and small <= 7",
    "words is distinct from 'abc' and whole is not distinct from 1",
    "id + 1 - cast(id as decimal(9, 2)) * 2",
    "-abs(small % 7)",
    "round(exact, 2)",
    "floor(money) + ceil(money)",
    "coalesce(nullif(words, ''), 'none')",
    "greatest(small, 3)",
    "least(words, 'b')",
    "cast(zoned at time zone 'UTC' as date)",
    "try_cast(words as decimal(18, 6))",
    "whole / nullif(cast(small as double), 0)",
    "words || id || day || 'x'",
    "words like 'a%' or starts_with(words, 'b')",
    "length(words)",
    "left(words, 2) || right(words, 2) || rpad(words, 9, '.') || lpad(words, 9, '.') || substring(words, 2, 3)",
    "replace(words, 'b', 'x')",
    "regexp_replace(words, '[a-c]+', 'x', 'g')",
    "strftime(moment, '%Y-%m-%d %H:%M:%S, %A %B')",
    "extract(year from day) + year(day) + month(moment) + day(moment) + extract(quarter from day)",
    "extract(hour from moment) * 60 + extract(minute from moment)",
    "date_diff('day', date '2000-02-29', day)",
    "sum(money) over (partition by truth)",
    "count(*) over (partition by truth) + count(words) over ()",
    "min(words) over (partition by truth)",
    "max(moment) over ()",
    "avg(small) over (partition by id)",
    "row_number() over (order by id desc)",
    "rank() over (order by truth) + dense_rank() over (order by truth)",
    "lag(words) over (order by id)",
    "lead(day, 2) over (order by id)",
]
SELECT_ALIKE = ",\n".join(["select id", *(f"{each} as v{n}" for n, each in enumerate(ALIKE_HERE))]) + "\nfrom edges"


@pytest.fixture(scope="module")
def spark() -> Iterator[Spark]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("TZ", ELSEWHERE)
        with open_spark(SAIL) as opened:
            yield opened


@pytest.fixture(scope="module")
def edges() -> Iterator[Engine]:
    """An engine with a table of each type, and its edge rows."""
    with open_engine([]) as engine:
        rows = written(engine, edge_rows(EDGES, COLUMNS), {each.name: each.log_type for each in COLUMNS})
        engine.view("edges", typed(rows, COLUMNS))
        engine.write_parquet(select("files", "all", rows=Rows("edges")), engine.scratch / "edges.parquet")
        yield engine


@pytest.fixture
def model(tmp_path: Path) -> Path:
    found = Path(shutil.copytree(LIBRARY, tmp_path / "library"))
    (found / "source.toml").write_text(SOURCE_TOML, "utf-8")
    return found


def is_same(engine: Engine, spark: Spark, statement: str) -> bool:
    """Say whether both engines make the same rows, in DuckDB's types."""
    kinds = engine.describe(Select(statement))
    with engine.working_tables() as tables:
        mine = tables.of(Select(statement))
        try:
            theirs = tables.of(made_rows(engine, spark, statement, ["edges"], tables))
        except (TidemarkError, duckdb.Error):
            return False
        keys = {"keys": listed(map(quoted, kinds)), "mine": mine, "theirs": theirs}
        return engine.value(select("modelling", "other_keys", **keys)) == 0


def test_edge_rows_have_the_ends_of_each_type() -> None:
    rows = list(edge_rows(EDGES, COLUMNS))
    values = {name: set(column) for name, column in zip(TYPES, zip(*rows, strict=True), strict=True)}

    assert all(None in found for name, found in values.items() if name != "id")
    assert len(values["id"]) == len(rows)
    assert {"", " ", "1.5"} <= values["words"]
    assert {"9" * 20 + "." + "9" * 18, "0." + "0" * 17 + "1"} <= values["exact"]
    assert {"9" * 38, "-" + "9" * 38} <= values["widest"]
    assert {"." + "9" * 38, "0." + "0" * 37 + "1"} <= values["finest"]
    assert {"0001-01-01", "9999-12-31"} <= values["day"]
    assert {"0001-01-01 00:00:00", "9999-12-31 23:59:59.999999", None} <= values["moment"]
    assert {"2024-02-29 01:30:00.000001+00", "2024-10-27 01:30:00+00"} <= values["zoned"]
    assert {"NaN", "-0", "Infinity"} <= values["float"]


def test_both_engines_pass_each_type_on_as_it_is(edges: Engine, spark: Spark) -> None:
    assert is_same(edges, spark, "select * from edges")


@pytest.mark.parametrize(("trap", "meant"), TRAPPED)
def test_a_trap_differs_and_is_named_and_what_its_advice_says_is_the_same(
    edges: Engine, spark: Spark, trap: str, meant: str
) -> None:
    def named(expression: str) -> list[int]:
        lines = faults_of_carrying(f"select\n    id,\n    {expression} as v\nfrom edges", {"edges": TYPES})
        return [fault.line for fault in lines]

    assert set(named(trap)) == {3}
    assert not is_same(edges, spark, f"select id, {trap} as v from edges")
    assert named(meant) == []
    assert is_same(edges, spark, f"select id, {meant} as v from edges")


@pytest.mark.parametrize(("trap", "meant"), HIDDEN_BY_SAIL)
def test_a_trap_is_named_also_where_sail_falls_into_none(edges: Engine, spark: Spark, trap: str, meant: str) -> None:
    assert list(faults_of_carrying(f"select id, {trap} as v from edges", {"edges": TYPES}))
    assert list(faults_of_carrying(f"select id, {meant} as v from edges", {"edges": TYPES})) == []
    assert is_same(edges, spark, f"select id, {meant} as v from edges")


def test_what_is_known_to_mean_the_same_does(edges: Engine, spark: Spark) -> None:
    tree = sqlglot.parse_one(SELECT_ALIKE, read="duckdb")

    assert {type(node) for node in tree.walk()} >= set(ALIKE)
    assert list(faults_of_carrying(SELECT_ALIKE, {"edges": TYPES})) == []
    assert is_same(edges, spark, SELECT_ALIKE)


@pytest.mark.parametrize("unknown", ["upper(words)", "whole // 2", "arg_max(words, id)", "isnan(float)"])
def test_of_every_other_word_it_says_that_nobody_knows(unknown: str) -> None:
    (fault,) = faults_of_carrying(f"select\n    id,\n    {unknown} as v\nfrom edges", {"edges": TYPES})

    assert (fault.line, "of which it is not known that it means the same" in fault.said) == (3, True)
    assert "substring" in fault.advice


def test_what_has_no_known_type_is_doubted() -> None:
    select = "select id, cast(x.m as integer) as v from edges, lateral (select money as m) as x"

    assert any("has no known type" in fault.said for fault in faults_of_carrying(select, {"edges": TYPES}))


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_spark_itself_gives_the_same_rows_and_falls_into_the_same_traps(
    edges: Engine, new_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setenv("TZ", ELSEWHERE)
    with spark_without_connect(version) as spark:
        assert is_same(edges, spark, "select * from edges")
        assert is_same(edges, spark, SELECT_ALIKE)
        # Neither a variable of the machine nor a setting comes into a text.
        assert is_same(edges, spark, "select id, words || ' ${env:HOME} ${spark.master} ${x}' as v from edges")
        for trap, meant in [*TRAPPED, *HIDDEN_BY_SAIL]:
            assert not is_same(edges, spark, f"select id, {trap} as v from edges"), trap
            assert is_same(edges, spark, f"select id, {meant} as v from edges"), meant
        for directory in MODELS:
            assert_same_selects(spark, directory, new_database)


def test_every_trap_is_tried() -> None:
    advice = {
        fault.advice
        for trap, _ in [*TRAPPED, *HIDDEN_BY_SAIL]
        for fault in faults_of_carrying(f"select {trap} from edges", {"edges": TYPES})
    }

    # The doubt about a type has a test of its own.
    assert {trap.advice for trap in (*TRAPS, *DOUBTS[1:])} <= advice


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("select\n    strlen(words) as v\nfrom edges", (2, "calls strlen(), which sqlglot does not know")),
        (
            "select\n    id,\n    id + try(1 / whole) as v\nfrom edges",
            (3, "sqlglot cannot carry it over: Unsupported TRY"),
        ),
        ("select 1 as a from range(3) as t(i) where i::", (1, "sqlglot cannot read it")),
    ],
)
def test_what_cannot_be_carried_over_has_its_line(text: str, expected: tuple[int, str]) -> None:
    found = [(fault.line, fault.said) for fault in faults_of_carrying(text, {})]

    assert any(line == expected[0] and said.startswith(expected[1]) for line, said in found), found


@pytest.mark.parametrize(
    "text",
    [
        'select * from parquet."/etc/passwd"',
        "select * from edges, other",
        "with other as (select 1 as a) select * from other, csv.edges",
    ],
)
def test_nothing_is_carried_over_that_reads_something_else(text: str) -> None:
    with pytest.raises(ValueError, match="which is none of its tables"):
        carried_over(text, ["edges"])


def source_of(directory: Path, new_database: Callable[..., str]) -> str | None:
    """Give a database with the source's tables of a model that does not list their columns itself."""
    if (directory / "source.toml").exists():
        return None
    url = new_database()
    with psycopg.connect(url) as connection:
        connection.execute((directory / "schema.sql").read_bytes())
    return url


def assert_same_selects(spark: Spark, directory: Path, new_database: Callable[..., str]) -> None:
    """Compare each SELECT of a model over the edge rows, on DuckDB and on Spark, and look at what it met there."""
    model, url = load_model(str(directory)), source_of(directory, new_database)
    columns = read_columns(url, model) if url else read_source(directory)
    types = {name: {column.name: column.typed for column in of} for name, of in columns.items()}
    with open_engine([]) as engine:
        compare(engine, spark, model, columns, Places(model), found := Elsewhere())
        for star in model.stars.values():
            rows = engine.execute(Select(star.sql)).fetchall()
            for name, values in zip(engine.describe(Select(star.sql)), zip(*rows, strict=True), strict=True):
                # A join that never found a row would leave nulls alone, one that always did would leave none.
                assert len(set(values) - {None}) > 1, (star.name, name)
                assert (None in values) == (name not in star.row_key and star.kind != "calendar"), (star.name, name)

    assert found == Elsewhere([], list(model.stars))
    assert [fault for star in model.stars.values() for fault in faults_of_carrying(star.sql, types)] == []


@pytest.mark.parametrize("directory", MODELS, ids=lambda directory: directory.name)
def test_the_select_of_every_model_gives_the_same_rows(
    spark: Spark, new_database: Callable[..., str], directory: Path
) -> None:
    assert_same_selects(spark, directory, new_database)


def test_a_mistake_for_spark_is_printed_with_its_line(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "fact" / "loan.sql").write_text(
        "-- fees\nselect\n    loan_id,\n    cast(fee as integer) as shelf_id,\n    fee\nfrom loan\n"
    )
    # Nothing in its words says that only DuckDB reads an underscore within a number.
    (model / "dimension" / "shelf.sql").write_text(
        "select\n    shelf_id,\n"
        "    cast(try_cast(replace(label, 'abc', '1_0') as decimal(18, 2)) as varchar) as label\nfrom shelf\n"
    )

    assert run(["model", "check", str(model)]) == 0
    capsys.readouterr()
    assert run(["model", "check", str(model), "--engine", "spark", "--json"]) == 2

    document = json.loads(capsys.readouterr().out)
    assert document["compared"] == ["dim_shelf", "fact_loan"]
    assert [(each["file"], each["line"]) for each in document["problems"]] == [
        ("fact/loan.sql", 4),
        ("dimension/shelf.sql", 3),
    ]
    assert document["problems"][1]["problem"] == (
        "dimension/shelf.sql yields another label in Sail: DuckDB gives '1010.00', and Sail None"
    )
    assert run(["model", "show", str(model), "--engine", "spark"]) == 2
    assert "--engine belongs to check" in " ".join(capsys.readouterr().err.split())


def test_what_spark_does_not_know_is_named_where_it_stands(model: Path) -> None:
    (model / "fact" / "loan.sql").write_text(
        "select\n    loan_id,\n    shelf_id,\n    case when isinf(fee) then 0 else fee end as fee\nfrom loan\n"
    )

    (problem,) = check(str(model), for_spark=True).problems

    assert (problem.file, problem.line) == ("fact/loan.sql", 4)


def test_only_columns_that_are_known_are_compared(model: Path) -> None:
    checked = check(str(model), for_spark=True)
    assert (checked.problems, checked.compared) == ((), ("dim_shelf", "fact_loan"))
    (model / "source.toml").unlink()

    checked = check(str(model), for_spark=True)

    assert checked.problems == ()
    assert checked.compared == ()


def test_errors_say_whose_they_are_and_no_values(
    edges: Engine, spark: Spark, capfd: pytest.CaptureFixture[str]
) -> None:
    files = {"edges": edges.scratch / "edges.parquet"}

    with pytest.raises(ConfigError, match="does not understand the SELECT"):
        spark.made("select nope from edges", files, edges.scratch)
    with pytest.raises(DataError, match="fails on a row") as raised:
        spark.made("select cast(words as date) as v from edges", files, edges.scratch)
    assert "abc" not in str(raised.value)
    # The client of Spark logs an error with the row's values, if it is let.
    assert capfd.readouterr().err == ""
