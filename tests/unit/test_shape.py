"""Whether a star table's SELECT and its table in warehouse.sql fit together."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import pytest

from tests.support.small_source import write_model
from tidemark.errors import ConfigError, ContractError
from tidemark.lake.delta_schema import DELTA_TYPES, NAIVE, OTHER_NAMES
from tidemark.lake.engine import open_engine
from tidemark.lake.table import create_table, open_table
from tidemark.log.columns import Column
from tidemark.model import Model
from tidemark.model_reader import load_model
from tidemark.objects import open_objects
from tidemark.star.binding import Binding, bind, require_readable
from tidemark.star.limits import limits_of
from tidemark.star.shape import faults_of_tables, require_shapes

TOML = """
[source.item]
key = ["id"]

[star.fact_item]
kind = "fact"
key = ["record"]
driving = "item"
source_key = ["id"]
reads = ["item"]
[star.fact_item.references]
kind = "dim_kind"

[star.dim_kind]
kind = "dimension"
key = ["kind"]
reads = ["item"]
"""
HISTORY = "valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp"
FACT = "record bigint primary key, id integer, kind text, amount numeric(12, 2)"
COLUMNS = {"item": [Column("id", "integer"), Column("kind", "text"), Column("amount", "numeric(10,2)")]}
NewModel = Callable[..., Model]


@pytest.fixture
def model(tmp_path: Path) -> NewModel:
    def write(fact: str = f"{FACT}, {HISTORY}", dimension: str = "kind text primary key", **selects: str) -> Model:
        files = {
            "fact/item.sql": selects.get("item", "select id, kind, amount from item"),
            "dimension/kind.sql": selects.get("kind", "select distinct kind from item"),
            "warehouse.sql": f"create table fact_item ({fact}); create table dim_kind ({dimension});",
        }
        return write_model(tmp_path / "model", TOML, files)

    return write


def bound(model: Model) -> Binding:
    with open_engine([]) as engine:
        return bind(engine, model, COLUMNS, limits_of(model), COLUMNS, COLUMNS)


def test_a_model_that_fits_has_no_faults(model: NewModel) -> None:
    sound = model()

    require_shapes(sound)
    assert bound(sound).mistakes + bound(sound).found == []
    assert bound(sound).yielded.keys() == {"fact_item", "dim_kind"}


@pytest.mark.parametrize(
    ("fact", "dimension", "expected"),
    [
        (FACT, "kind text", ["fact_item has no column valid_from: expected valid_from timestamp"]),
        (
            f"{FACT}, {HISTORY.replace(' timestamp not', ' timestamptz not')}",
            "kind text",
            ["valid_from is timestamp wi"],
        ),
        (f"{FACT}, {HISTORY.replace('to timestamp', 'to timestamp not null')}", "kind text", ["valid_to is not null"]),
        (
            f"{FACT}, {HISTORY.replace(' timestamp not', ' timestamp(0) not')}",
            "kind text",
            ["valid_from rounds its sec"],
        ),
        (f"{FACT}, photo bytea, {HISTORY}", "kind text", ["fact_item.photo is bytea, which the star cannot hold"]),
        (f"{FACT}, tags text[], {HISTORY}", "kind text", ["fact_item.tags is varchar[], which the star cannot hold"]),
        (f"{FACT}, clock timetz, {HISTORY}", "kind text", ["fact_item.clock is time with time zone"]),
        (
            f"{FACT}, flags bit(3), {HISTORY}",
            "kind bit varying(9)",
            ["fact_item.flags is bit,", "dim_kind.kind is bit,"],
        ),
        (f"{FACT}, _Op text, {HISTORY}", "kind text", ["fact_item has a column _op"]),
        (f"record bigint, id integer, {HISTORY}", "kind text, batch_id text", ["no column kind", "a column batch_id"]),
    ],
)
def test_a_table_that_the_star_cannot_fill_is_refused_by_name(
    model: NewModel, fact: str, dimension: str, expected: list[str]
) -> None:
    wrong = model(fact, dimension)

    found = faults_of_tables(wrong, limits_of(wrong))
    missing = [each for each in expected if not any(each in one for one in found)]

    assert missing == []
    with pytest.raises(ConfigError, match=r"mend .*warehouse\.sql"):
        require_shapes(wrong)


@pytest.mark.parametrize(
    ("flag", "dimension", "expected"),
    [
        ("history", f"kind_record_id bigint primary key, kind text not null, {HISTORY}", []),
        (
            "history",
            f"kind_record_id bigint primary key, kind text, {HISTORY}",
            ["dim_kind.kind may be null: it names"],
        ),
        (
            "history",
            "kind text primary key",
            [
                "dim_kind has no column kind_record_id: expected kind_record_id bigint",
                "valid_f",
                "is_d",
                "batch",
                "val",
            ],
        ),
        ("soft_delete", "kind text primary key, is_deleted boolean not null", []),
        ("soft_delete", "kind text primary key", ["dim_kind has no column is_deleted: expected is_deleted boolean"]),
    ],
)
def test_a_dimension_that_knows_deletions_needs_columns_for_them(
    model: NewModel, tmp_path: Path, flag: str, dimension: str, expected: list[str]
) -> None:
    sound = model(dimension=dimension)
    toml = tmp_path / "model" / "model.toml"
    toml.write_text(toml.read_text() + f"{flag} = true\n")
    changed = load_model(str(sound.directory))

    faults = faults_of_tables(changed, limits_of(changed))

    assert [fault for fault, part in zip(faults, expected, strict=True) if part not in fault] == []
    assert expected or bound(changed).mistakes == []


def test_a_foreign_key_to_a_dimension_with_history_is_refused(model: NewModel, tmp_path: Path) -> None:
    model(
        fact=f"{FACT}, {HISTORY}, foreign key (kind)\n references dim_kind (kind)",
        dimension=f"kind_record_id bigint primary key, kind text not null, {HISTORY}",
    )
    toml = tmp_path / "model" / "model.toml"
    toml.write_text(toml.read_text() + "history = true\n")

    with pytest.raises(
        ConfigError, match="create table fact_item refers to dim_kind, which has several rows for a key"
    ):
        require_shapes(load_model(str(tmp_path / "model")))


def test_a_moment_with_a_zone_needs_no_module_that_may_be_missing(model: NewModel) -> None:
    fact = f"record bigint primary key, id integer, at timestamptz, {HISTORY}"
    given = model(fact, item="select id, timestamptz '2000-01-01' as at from item")

    assert bound(given).found == []


def test_a_column_that_the_warehouse_fills_itself_may_have_any_type(model: NewModel) -> None:
    fact = FACT.replace("record bigint", "record bigserial")
    own = model(f"{fact}, tags text[] default '{{}}', seen timestamptz default now(), place serial, {HISTORY}")

    require_shapes(own)
    assert bound(own).mistakes == []


def test_a_name_in_capitals_is_read_as_postgresql_reads_it(model: NewModel) -> None:
    capitals = model(f'RECORD bigint, id integer, Kind text, "AMOUNT" varchar(3), {HISTORY.upper()}')

    assert set(limits_of(capitals)["fact_item"]) == {
        *("record", "id", "kind", "AMOUNT", "valid_from", "is_deleted", "batch_id", "valid_to")
    }
    assert faults_of_tables(capitals, limits_of(capitals)) == []
    assert limits_of(capitals)["fact_item"]["AMOUNT"].longest == 3
    assert [each for each in bound(capitals).mistakes if "yields amount" in each or "does not yield AMOUNT" in each]


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("select id, kind, amuont from item", "fact/item.sql cannot read the source: Binder Error"),
        ("select id, kind, no_such(amount) as amount from item", "fact/item.sql: Catalog Error"),
        ("select id, kind, amount, 1 as more from item", "fact/item.sql yields more, which fact_item in warehouse.sql"),
        ("select id, kind from item", "fact/item.sql does not yield amount, which fact_item has"),
        ("select id, kind, amount, 7 as ID from item", "fact/item.sql: a SELECT yields two columns id"),
        ("select kind, amount from item", "fact/item.sql does not yield id, which fact_item has"),
        ("select id, kind, id > 1 as amount from item", "fact/item.sql yields BOOLEAN for amount"),
        *(
            (f"select id, kind, amount, 1 as {name} from item", f"fact/item.sql yields {name}, which Tidemark itself")
            for name in (
                "valid_from",
                "is_deleted",
                "batch_id",
                "valid_to",
                "record",
                "Is_Deleted",
                "_op",
                "_tidemark_x",
            )
        ),
    ],
)
def test_a_select_that_does_not_fit_is_refused_before_a_row_moves(model: NewModel, select: str, expected: str) -> None:
    wrong = model(item=select)

    found = bound(wrong)

    assert [each for each in (*found.mistakes, *found.found) if expected in each]
    with open_engine([]) as engine, pytest.raises(Exception, match=expected.partition(":")[0]):
        require_readable(engine, wrong, COLUMNS, {}, COLUMNS)


def test_a_type_that_never_fitted_does_not_make_another_change_of_its_table_a_broken_contract(model: NewModel) -> None:
    loose = model(item="select id, kind, shut as amount from item")
    before = [Column("id", "integer"), Column("kind", "text"), Column("shut", "boolean")]

    with open_engine([]) as engine:
        require_readable(engine, loose, {"item": [*before, Column("note", "text")]}, {"item": before})
        with pytest.raises(ContractError, match="yields DATE for amount, which cannot become the star's DECIMAL"):
            require_readable(engine, loose, {"item": [*before[:2], Column("shut", "date")]}, {"item": before})


@pytest.mark.parametrize("kind", [*DELTA_TYPES, NAIVE, *OTHER_NAMES, "DECIMAL(12,2)", "DECIMAL(5, 0)"])
def test_a_type_has_the_same_name_in_duckdb_and_in_the_lake(kind: str, tmp_path: Path) -> None:
    described = duckdb.execute(f"describe select cast(null as {kind}) as v").fetchall()[0][1]
    objects = open_objects(str(tmp_path))

    made = create_table(objects, "fact/item", {"v": kind})
    opened = open_table(objects, "fact/item")

    assert opened is not None
    assert (made.columns, opened.columns) == ({"v": described}, {"v": described})
