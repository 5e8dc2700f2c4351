"""Names with quotes, spaces, capitals, SQL, patterns and markup in them do no harm on their way."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.pipeline import Rig, as_text
from tests.support.postgres import Postgres
from tests.support.small_source import SmallSource, write_model
from tidemark.cli import run
from tidemark.doctor.places import examine_bucket
from tidemark.errors import ConfigError
from tidemark.lake.table import open_table
from tidemark.objects import open_objects

NAMES = {
    "quotes, spaces, capitals": 'Order "Lines" of\'s',
    "SQL": 'x"; drop table victim; --',
    "SQL in a text": "x'; drop table victim; --",
    "formats": "a{b}%s%%c%(d)s{{e}}",
    "patterns": "all*[a-z]{1,2}",
    "markup": "[bold]x[/red]",
    "other alphabets": "Größe 日本 🎒",
    "a path": "a/b c+d%d&e=f",
    "as long as may be": "x" * 63,
}


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def toml(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


@pytest.fixture(params=list(NAMES.values()), ids=list(NAMES))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def rig(new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path, name: str) -> Rig:
    """A source whose schema, table and columns have the name, and a star whose tables and columns have it too."""
    short = name.replace("/", "-")[:48]
    key, table = quoted(f"{name} key"[-63:]), f"{quoted(name)}.{quoted(name)}"
    model = write_model(
        tmp_path / "model",
        f"""
name = {toml(name)}
[source.{toml(name)}]
schema = {toml(name)}
key = [{toml(f"{name} key"[-63:])}]
updated = "at"

[star.{toml("dim_" + short)}]
kind = "dimension"
key = [{toml(name)}]
reads = [{toml(name)}]

[star.{toml("fact_" + short + "2")}]
kind = "fact"
key = [{toml("r" + name[1:])}]
driving = {toml(name)}
source_key = [{toml("k" + name[1:])}]
reads = [{toml(name)}]
[star.{toml("fact_" + short + "2")}.references]
{toml("k" + name[1:])} = {toml("dim_" + short)}
""",
        {
            "warehouse.sql": f"""
create table {quoted("dim_" + short)} ({quoted(name)} integer primary key, v varchar);
create table {quoted("fact_" + short + "2")} (
    {quoted("r" + name[1:])} bigint primary key,
    {quoted("k" + name[1:])} integer references {quoted("dim_" + short)},
    {quoted(name)} varchar,
    valid_from timestamp not null, is_deleted boolean not null, batch_id bigint not null, valid_to timestamp
);
""",
            f"dimension/{short}.sql": f"select {key} as {quoted(name)}, {quoted(name)} as v from {quoted(name)}",
            f"fact/{short}2.sql": (f"select {key} as {quoted('k' + name[1:])}, {quoted(name)} from {quoted(name)}"),
        },
    )

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            for statement in (
                "create table victim ()",
                f"create schema {quoted(name)}",
                f"create table {table} ({key} integer primary key, {quoted(name)} text, at timestamp default now())",
                f"insert into {table} select n, 'value ' || n from generate_series(1, 5) as n",
            ):
                connection.execute(statement.encode())

    return new_rig(postgres.template(f"identifiers {name}", build), model=str(model.directory))


@pytest.mark.parametrize("form", ["as text", pytest.param("as JSON", marks=pytest.mark.exhaustive)])
def test_a_name_does_no_harm(
    rig: Rig, name: str, form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    table, key = f"{quoted(name)}.{quoted(name)}", quoted(f"{name} key"[-63:])
    dimension, fact = (star.name for star in rig.model.stars.values())
    rig.run()
    rig.change(
        f"update {table} set {quoted(name)} = 'new', at = now() where {key} = 2",
        f"update {table} set {quoted(name)} = 'unseen' where {key} = 3",
        f"delete from {table} where {key} = 4",
        f"insert into {table} values (6, null)",
    )
    rig.run()

    expected = as_text(rig.source_url, f"select {key}, {quoted(name)} from {table}")
    current = f"select {quoted('k' + name[1:])}, {quoted(name)} from {quoted(fact)} where valid_to is null"
    assert as_text(rig.warehouse_url, f"{current} and not is_deleted") == expected
    assert rig.warehouse(f"select count(*) from {quoted(fact)}") == [(9,)]
    assert rig.warehouse(f"select count(*) from {quoted(dimension)}") == [(6,)]

    monkeypatch.chdir(tmp_path)
    settings = {
        "source_url": rig.source_url,
        "warehouse_url": rig.warehouse_url,
        "ingestion": str(tmp_path / "lake" / "ingestion"),
        "processed": str(tmp_path / "lake" / "processed"),
        "pointer": str(tmp_path / "lake" / "pointer.json"),
        "model": str(rig.model.directory),
    }
    (tmp_path / "tidemark.toml").write_text("\n".join(f"{each} = {toml(value)}" for each, value in settings.items()))
    for arguments in (
        ("run",),
        ("status",),
        ("history", fact, "2"),
        ("rebuild", "latest"),
        ("rebuild", "star"),
        ("rebuild", "warehouse"),
        ("compact",),
        ("verify",),
        ("doctor",),
        ("doctor", "--sql", "source"),
        ("init",),
    ):
        code = run([*arguments, "--json"] if form == "as JSON" else arguments)
        shown = capsys.readouterr()
        assert code == 0, (arguments, shown.out, shown.err)
    assert rig.source("select count(*) from victim") == [(0,)]


@pytest.mark.parametrize("name", ["50%25", "a#b", "a?b", "a\\\\b"])
def test_a_name_that_a_delta_table_cannot_have_is_read_under_another(
    new_database: Callable[..., str], tmp_path: Path, name: str
) -> None:
    source = SmallSource(tmp_path, new_database(), f"[source.other]\ntable = '{name}'\nkey = ['k']\n")
    source.execute(f'create table "{name}" (k integer primary key)', f'insert into "{name}" values (1)')
    source.ingest()

    assert source.latest("other") == [{"k": "1"}]


@pytest.mark.parametrize("name", ["a\nb", "a#b"])
def test_a_directory_that_cannot_hold_delta_tables_is_named_by_doctor_as_well(tmp_path: Path, name: str) -> None:
    objects = open_objects(str(tmp_path / name))

    with pytest.raises(ConfigError, match="no Delta table at"):
        open_table(objects, "latest/loan")
    with pytest.raises(ConfigError, match="no Delta table at"):
        list(examine_bucket("ingestion", lambda: objects))
