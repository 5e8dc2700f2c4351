"""`tidemark model check` with a source: the catalogue, PostgreSQL's own parser, and each SELECT on sampled rows."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.library import LIBRARY, library_template
from tests.support.postgres import Postgres
from tidemark.cli import run
from tidemark.modelling.check import check

MISTAKES = """
[source.shelv]
key = ["shelf_id"]

[source.member]
key = ["member_id"]

[source.branch]
key = ["branch_id"]
updated = "changed_on"

[source.note]
key = ["note_id"]
updated = "stamp"

[source.shelves]
key = ["shelf_id"]
"""
A_VIEW = (
    "is a view: expected a table or a materialised view, since only these can have the unique index that a key needs"
)
SOURCE = """
create schema people;
create table people.member (member_id integer primary key);
create table branch (branch_no integer primary key, changed timestamp);
create table note (note_id integer, stamp text, words text);
insert into note values (1, '', 'many'), (1, '', '7');
create view shelves as select * from shelf;
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return Path(shutil.copytree(LIBRARY, tmp_path / "library"))


@pytest.fixture
def source(postgres: Postgres, new_database: Callable[..., str]) -> str:
    return new_database(library_template(postgres))


def test_a_model_is_compared_with_the_catalogue(model: Path, source: str) -> None:
    with psycopg.connect(source) as connection:
        connection.execute(SOURCE)
    with (model / "model.toml").open("a") as file:
        file.write(MISTAKES)
    start = (model / "model.toml").read_text("utf-8").count("\n") - MISTAKES.count("\n") + 1

    checked = check(str(model), source)

    assert [(each.line - start, each.problem.partition("] ")[2], each.advice) for each in checked.problems] == [
        (1, "public.shelv is not in the source", "write shelves"),
        (4, "public.member is not in the source", 'write schema = "people"'),
        (8, "key names branch_id, and public.branch has no such column", "write branch_no"),
        (9, "updated names changed_on, and public.branch has no such column", "write changed"),
        (
            12,
            "key ['note_id'] has no unique index over it, with all columns not null",
            "give it one, or mend the key",
        ),
        (13, "", "mend the model, or the source"),
        (
            15,
            f"source table 'shelves' {A_VIEW}",
            "name a table, or a materialised view",
        ),
    ]
    assert checked.sampled == {"shelf": 20, "loan": 200, "note": 2}


def test_each_select_runs_on_rows_of_the_source(model: Path, source: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "check", str(model), "--source-url", source]) == 0
    assert "no mistake found, on 220 rows of the source" in " ".join(capsys.readouterr().out.split())
    (model / "fact" / "loan.sql").write_text(
        "select\n    loan_id,\n    cast(replace(cast(shelf_id as varchar), '2', 'x') as integer) as shelf_id,\n"
        "    fee\nfrom loan\n"
    )
    (model / "dimension" / "shelf.sql").write_text("select\n    1 as shelf_id,\n    lable as label\nfrom shelf\n")
    (model / "checks").mkdir()
    (model / "checks" / "fees.sql").write_text("select *\nfrom fact_loan\nwhere fee fee\n")
    with (model / "warehouse.sql").open("a") as file:
        file.write("\ncreate index on\n    fact_loan as fee;\n")

    assert run(["model", "check", str(model), "--source-url", source, "--json"]) == 2

    problems = json.loads(capsys.readouterr().out)["problems"]
    lines = (model / "warehouse.sql").read_text("utf-8").count("\n")
    assert [(each["file"], each["line"]) for each in problems] == [
        ("warehouse.sql", lines),
        ("fact/loan.sql", 1),
        ("dimension/shelf.sql", 3),
        ("checks/fees.sql", 3),
    ]
    assert "fails on rows of the source" in problems[1]["problem"]


@pytest.mark.parametrize(
    ("select", "problem"),
    [
        ("select loan_id, shelf_id, fee from loan where fee > 3", "expected one row for each"),
        ("select loan_id, shelf_id, fee from loan cross join range(2)", "yields several rows for one key (loan_id)"),
    ],
)
def test_a_fact_that_yields_more_or_fewer_rows_is_named(model: Path, source: str, select: str, problem: str) -> None:
    (model / "fact" / "loan.sql").write_text(select)

    (found,) = check(str(model), source).problems

    assert problem in found.problem
