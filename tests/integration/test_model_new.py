"""What `tidemark model new` writes, what it says, and that it writes over nothing."""

import json
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.library import library_template
from tests.support.postgres import Postgres
from tidemark.cli import run

MORE = """
create schema people;
create table people.member (member_id integer primary key, joined timestamp);
create table note (words text);
alter table loan add column member_id integer references people.member;
"""
READER = """
drop role if exists model_reader;
create role model_reader login;
grant select on shelf, loan to model_reader;
alter table loan enable row level security;
create policy few on loan using (loan_id > 0);
"""
FACT = """\
# it points at member and shelf; none points at it; it has amounts (fee)
[star.fact_loan]
kind = "fact"
key = ["loan_record_id"]
driving = "loan"
source_key = ["loan_id"]
reads = ["loan"]

[star.fact_loan.references]
member_id = "dim_member"
shelf_id = "dim_shelf"
"""
SOURCE = """\
[source.member]
schema = "people"
key = ["member_id"]
# no column says when a row was changed: the sweep alone finds what changed

[source.shelf]
key = ["shelf_id"]
updated = "changed" # its name says so; decide: no trigger sets it, so does the application at each update?
"""


@pytest.fixture
def source(postgres: Postgres, new_database: Callable[..., str]) -> str:
    url = new_database(library_template(postgres))
    with psycopg.connect(url) as connection:
        connection.execute(MORE)
    return url


def files(directory: Path) -> list[str]:
    return sorted(path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file())


def test_a_model_is_written_and_nothing_is_written_over(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    model = tmp_path / "shop"

    assert run(["model", "new", str(model), "--source-url", source]) == 0

    shown = " ".join(capsys.readouterr().out.split())
    assert "facts fact_loan dimensions dim_member, dim_shelf left out public.note: it has no primary key" in shown
    assert f"tidemark init --model {model}" in shown
    written = ["dimension/member.sql", "dimension/shelf.sql", "fact/loan.sql", "model.toml", "source.toml"]
    assert files(model) == written
    toml = (model / "model.toml").read_text("utf-8")
    assert FACT in toml
    assert SOURCE in toml
    assert (model / "fact" / "loan.sql").read_text("utf-8") == (
        "select\n    loan_id,\n    shelf_id,\n    fee,\n    changed,\n    member_id\nfrom loan\n"
    )
    assert run(["model", "new", str(model), "--source-url", source, "--exclude", "loan"]) == 2
    assert "nothing was written" in " ".join(capsys.readouterr().err.split())
    assert (files(model), (model / "model.toml").read_text("utf-8")) == (written, toml)


def test_a_column_that_only_the_written_columns_lack_is_to_be_added_there(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "new", str(tmp_path / "shop"), "--source-url", source, "--include", "shelf"]) == 0
    with psycopg.connect(source) as connection:
        connection.execute("alter table shelf add column height numeric(4, 1)")
    select = tmp_path / "shop" / "dimension" / "shelf.sql"
    select.write_text(select.read_text("utf-8").replace("    label,", "    label,\n    height,"))
    capsys.readouterr()

    assert run(["model", "check", str(tmp_path / "shop"), "--source-url", source]) == 2

    assert 'what to do: add height = "numeric(4,1)" below [shelf] of source.toml' in capsys.readouterr().out


def test_what_the_role_may_not_read_is_left_out_and_named(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with psycopg.connect(source) as connection:
        connection.execute(READER)
    reader = source.replace("postgres@", "model_reader@")

    assert run(["model", "new", str(tmp_path / "shop"), "--source-url", reader, "--json"]) == 0
    left_out = json.loads(capsys.readouterr().out)["left_out"]
    assert [(each["table"], each["reason"].partition(":")[0]) for each in left_out] == [
        ("people.member", "the role may not read it"),
        ("public.loan", "a policy hides rows of it from the role"),
        ("public.note", "the role may not read it"),
    ]
    with (tmp_path / "shop" / "model.toml").open("a") as file:
        file.write('[source.loan]\nkey = ["loan_id"]\n[source.member]\nkey = ["member_id"]\nschema = "people"\n')
    assert run(["model", "check", str(tmp_path / "shop"), "--source-url", reader, "--json"]) == 2
    problems = json.loads(capsys.readouterr().out)["problems"]
    assert [each["advice"].partition(",")[0] for each in problems] == [
        "alter role model_reader bypassrls",
        "grant usage on schema people to model_reader; grant select on people.member to model_reader",
    ]


def test_schemas_and_patterns_choose_tables(source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    chosen = {
        "schema": ["--schema", "public"],
        "include": ["--include", "people.*,sh*"],
        "exclude": ["--exclude", "*loan*,public.note"],
    }
    found = {}
    for name, flags in chosen.items():
        assert run(["model", "new", str(tmp_path / name), "--source-url", source, "--json", *flags]) == 0
        said = json.loads(capsys.readouterr().out)
        found[name] = (said["facts"] + said["dimensions"], [each["table"] for each in said["left_out"]])

    assert found == {
        "schema": (["fact_loan", "dim_shelf"], ["public.note"]),
        "include": (["dim_member", "dim_shelf"], []),
        "exclude": (["dim_member", "dim_shelf"], []),
    }
    assert "# no reference: member_id: member is not in the star" in (tmp_path / "schema" / "model.toml").read_text(
        "utf-8"
    )


def test_a_source_without_a_table_that_can_be_read_is_an_error(
    source: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(["model", "new", str(tmp_path / "x"), "--source-url", source, "--include", "note"]) == 2
    assert "public.note: it has no primary key" in " ".join(capsys.readouterr().err.split())
    assert run(["model", "new", str(tmp_path / "x")]) == 2
    assert run(["model", "new", "--source-url", source]) == 2
    assert run(["model", "check", str(tmp_path / "x"), "--schema", "public"]) == 2
    assert not (tmp_path / "x").exists()
