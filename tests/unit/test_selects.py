"""What a model's SELECT may read, and what is said of one that reaches for something else."""

from pathlib import Path

import pytest

from tests.support.small_source import write_model
from tidemark.errors import ConfigError
from tidemark.lake.engine import open_engine
from tidemark.log.columns import Column
from tidemark.model import Model
from tidemark.star.binding import require_readable
from tidemark.star.selects import faults_of_reach

TOML = """
[source.Item]
key = ["id"]

[source.other]
key = ["id"]

[star.dim_item]
kind = "dimension"
key = ["id"]
reads = ["Item"]
"""
READS = "and it may read only its own tables and seeds: Item, colour"


def model_of(folder: Path, select: str) -> Model:
    files = {
        "dimension/item.sql": select,
        "warehouse.sql": "create table dim_item (id integer primary key)",
        "seed/colour.csv": "name\nred\n",
    }
    return write_model(folder / "model", TOML, files)


@pytest.mark.parametrize(
    ("select", "expected"),
    [
        ("select id, (select content from read_text('/etc/hostname')) as t from item", "calls read_text() in FROM"),
        ("select id from item where exists (from READ_CSV('x'))", "calls read_csv() in FROM, where only these are"),
        ("with a as (from glob('*')) select id from item, a", "calls glob() in FROM"),
        ("select id from query('select 1 as id')", "calls query() in FROM"),
        ("select id, getenv('HOME') as t from item", "calls getenv(), which reaches outside"),
        ("select id from '/etc/passwd'", f"reads '/etc/passwd', {READS}"),
        ("select id from item union all select id from 'more.parquet'", f"reads 'more.parquet', {READS}"),
        ("select id from 'https://example.com/x.csv'", "reads 'https://example.com/x.csv'"),
        ("select id from other", f"reads 'other', {READS}"),
        ("select 1 as id from duckdb_settings", "reads 'duckdb_settings'"),
        ("select 1 as id from information_schema.tables", "reads 'tables'"),
        ("select 1 as id from (show tables)", "asks by SHOW, DESCRIBE or SUMMARIZE"),
        ("select id from item; copy (select 1) to 'x'", "is not one SELECT"),
        ("select 1 as id; select 2 as id", "is not one SELECT"),
        ("id from item); copy (select 1) to 'x'; (select 1", "is no SQL: "),
        ("attach 'x'", "is not one SELECT"),
        ("install httpfs", "is not one SELECT"),
        ("load httpfs", "is not one SELECT"),
        ("set threads = 1", "is not one SELECT"),
        ("pragma version", "is not one SELECT"),
        ("copy (select 1) to 'x'", "is not one SELECT"),
        ("-- nothing", "is not one SELECT"),
    ],
)
def test_a_select_that_reaches_outside_is_refused_by_name(tmp_path: Path, select: str, expected: str) -> None:
    model = model_of(tmp_path, select)
    columns = {name: [Column("id", "integer")] for name in model.sources}
    with open_engine([]) as engine, pytest.raises(ConfigError) as caught:
        require_readable(engine, model, columns, {}, ())
    assert f"dimension/item.sql {expected}" in caught.value.message
    assert caught.value.advice == "mend the model"


@pytest.mark.parametrize(
    "select",
    [
        "select * from iTEM, Colour, range(3) r(i), generate_series(1, 2), unnest([1]) with ordinality u",
        "with recursive r as (select 1 as n union all select n + 1 from r where n < 5), b as (from r) from b",
        "from item pivot (count(*) for id in (1, 2))",
        "select list_transform([id], lambda x: x + 1), {'a': 1}.a from item qualify row_number() over () = 1",
        "select distinct on (id) * exclude (id) from item asof join colour on id >= id",
        "(select 1) union by name (values (2)) order by all -- the end",
        "select j.* from item, json_each('{}') as j, lateral (select id as x) as l",
    ],
)
def test_what_stays_within_its_tables_is_allowed(tmp_path: Path, select: str) -> None:
    model = model_of(tmp_path, select)
    with open_engine([]) as engine:
        assert faults_of_reach(engine, model, model.stars["dim_item"]) == []
