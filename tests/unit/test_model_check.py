"""`tidemark model check` on the files alone: each mistake is named with its file, its line and how to mend it."""

import json
import shutil
from pathlib import Path

import pytest

from tests.support.library import LIBRARY
from tidemark.cli import run
from tidemark.model_reader import find_model, shipped_models
from tidemark.modelling.check import check
from tidemark.modelling.toml_lines import lines_of

Found = tuple[str, int, str]
ADD_SHELF = "add 'shelf' to the reads of [star.fact_loan]"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A copy of the library's model whose files a test may change."""
    return Path(shutil.copytree(LIBRARY, tmp_path / "library"))


def edit(directory: Path, file: str, before: str, after: str) -> None:
    text = (directory / file).read_text("utf-8")
    assert before in text
    (directory / file).write_text(text.replace(before, after, 1), "utf-8")


def found(directory: Path) -> list[Found]:
    """Give file, line and advice of each problem."""
    return [(each.file, each.line, each.advice) for each in check(str(directory)).problems]


@pytest.mark.parametrize("name", shipped_models())
def test_a_model_that_ships_has_no_mistake(name: str) -> None:
    assert check(name).problems == ()


def test_every_mistake_is_found_at_once_each_at_its_line(model: Path) -> None:
    edit(model, "model.toml", 'timezone = "UTC"', 'timezone = "Mars/Olympus"\nsourc = 1')
    edit(model, "model.toml", 'updated = "changed"', 'updatd = "changed"')
    edit(model, "model.toml", 'shelf_id = "dim_shelf"', 'shelf_id = "dim_shelv"\nroom_id = "dim_shelf"')
    edit(
        model,
        "model.toml",
        "[star.dim_shelf]",
        '[star.dim_room]\nkind = "dimension"\nkey = []\nreads = ["room"]\n[star.dim_shelf]',
    )
    edit(model, "dimension/shelf.sql", "label", "label,\n    label")
    edit(model, "fact/loan.sql", "from loan", "from loans")
    (model / "checks").mkdir()
    (model / "checks" / "no_check.sql").write_text("-- a comment\n\ndelete from fact_loan\n")
    (model / "seed").mkdir()
    (model / "seed" / "colours.csv").write_text("code,name\n1,red\n2,green,blue\n")

    assert found(model) == [
        ("model.toml", 4, "write a name of the IANA database, such as UTC or Europe/London"),
        ("model.toml", 5, "write source"),
        ("model.toml", 9, "write updated"),
        ("model.toml", 15, "write dimension/room.sql: one SELECT that ends in the table's columns"),
        ("model.toml", 17, "mend that line"),
        ("model.toml", 18, "mend that line"),
        ("model.toml", 32, "write dim_shelf"),
        ("warehouse.sql", 6, "mend warehouse.sql"),
        ("fact/loan.sql", 5, "write loan"),
        ("dimension/shelf.sql", 4, "give one of them another name"),
        (
            "seed/colours.csv",
            3,
            "separate fields by commas, give each line as many as the header, and quote with double quotes",
        ),
        ("checks/no_check.sql", 3, "write one SELECT, and nothing that changes rows"),
    ]


@pytest.mark.parametrize(
    ("file", "before", "after", "expected"),
    [
        ("fact/loan.sql", "fee\nfrom", "fee\nfrm", ("fact/loan.sql", 5, "mend the SELECT there")),
        ("fact/loan.sql", "    loan_id,\n", "", ("fact/loan.sql", 3, "")),
        ("fact/loan.sql", "shelf_id", "shelf_id as shelf", ("model.toml", 27, "write shelf")),
        ("fact/loan.sql", "from loan", "from shelf", ("fact/loan.sql", 5, ADD_SHELF)),
        ("fact/loan.sql", "fee", "getenv('HOME') as fee", ("fact/loan.sql", 4, "")),
        ("fact/loan.sql", "fee", "fee as valid_from", ("fact/loan.sql", 4, "mend it there")),
        ("dimension/shelf.sql", "shelf_id", "shelf_id as id", ("dimension/shelf.sql", 2, "mend it there")),
        ("model.toml", 'kind = "fact"', 'kind = "fct"', ("model.toml", 20, "write fact")),
        ("model.toml", 'driving = "loan"', 'driving = "lone"', ("model.toml", 22, "write loan")),
        ("model.toml", 'key = ["loan_id"]', "key = [1]", ("model.toml", 11, "mend that line")),
        ("model.toml", 'key = ["loan_id"]', "key = loan_id", ("model.toml", 11, "mend that line")),
        ("model.toml", "[source.loan]", "[source.Loan]\nkey = ['a']\n[source.loan]", ("model.toml", 10, "")),
        ("warehouse.sql", "is_deleted boolean", "is_deleted text", ("warehouse.sql", 0, "")),
    ],
)  # fmt: skip
def test_a_mistake_has_its_place(model: Path, file: str, before: str, after: str, expected: Found) -> None:
    edit(model, file, before, after)
    line = expected[1] or (model / file).read_text("utf-8").splitlines().index(
        next(line for line in (model / file).read_text("utf-8").splitlines() if after in line)
    ) + 1  # fmt: skip

    places = found(model)

    assert (expected[0], line) in [(name, at) for name, at, _ in places], places
    assert any(advice == expected[2] or not expected[2] for _, _, advice in places), places


def test_a_file_that_is_no_text_and_an_unknown_model_are_said(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (model / "fact" / "loan.sql").write_bytes(b"select\n'\xff' as a")

    assert found(model) == [("fact/loan.sql", 2, "save it as UTF-8")]
    assert run(["model", "check", str(model / "nowhere")]) == 2
    assert "expected a directory with a model.toml" in " ".join(capsys.readouterr().err.split())


def test_mistakes_in_the_columns_of_the_source_are_found_and_hide_no_others(model: Path) -> None:
    (model / "warehouse.sql").unlink()
    (model / "source.toml").write_text('[shelf]\nshelf_id = "integer not null"\nlabel = 5\n\n[loan]\nfee = ""\n')
    edit(model, "fact/loan.sql", "from loan", "from loans")

    assert found(model) == [
        ("source.toml", 3, "mend that line"),
        ("source.toml", 6, "mend that line"),
        ("fact/loan.sql", 5, "write loan"),
    ]
    (model / "source.toml").write_text("[shelf]\nlabel 5")
    assert [place for *place, _ in found(model)] == [["source.toml", 2], ["fact/loan.sql", 5]]


def test_a_table_that_cannot_be_derived_is_named(model: Path) -> None:
    (model / "warehouse.sql").unlink()
    assert found(model) == []
    (model / "source.toml").write_text('[shelf]\nshelf_id = "integer not null"\nlable = "text"\n')

    assert found(model) == [("dimension/shelf.sql", 3, "write lable")]


def test_the_command_lists_the_mistakes_and_ends_with_2(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["model", "check", str(model), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "directory": str(model),
        "problems": [],
        "sampled": None,
        "not_asked": None,
    }
    edit(model, "model.toml", 'driving = "loan"', 'driving = "lone"')

    assert run(["model", "check", str(model)]) == 2
    shown = capsys.readouterr().out
    assert f"{model / 'model.toml'}:22: [star.fact_loan] driving is 'lone'" in shown
    assert "what to do: write loan" in shown
    assert run(["model", "check", str(model), "--json"]) == 2
    (problem,) = json.loads(capsys.readouterr().out)["problems"]
    assert problem == {
        "file": "model.toml",
        "line": 22,
        "problem": "[star.fact_loan] driving is 'lone': expected one of its reads ('loan',)",
        "advice": "write loan",
    }


def test_a_source_that_is_away_hides_no_mistake(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    away = ["--source-url", "postgresql://localhost:1/nothing"]

    assert run(["model", "check", str(model), *away]) == 3
    assert "is away" in capsys.readouterr().err
    edit(model, "model.toml", 'driving = "loan"', 'driving = "lone"')
    assert run(["model", "check", str(model), *away]) == 2
    shown = capsys.readouterr().out
    assert "driving is 'lone'" in shown
    assert "the source was not asked: " in shown


def test_lines_are_found_whatever_a_name_looks_like() -> None:
    text = (find_model("totesys") / "model.toml").read_text("utf-8")
    odd = '[ source . "Odd ] \\"Table" ] # [not.this]\n"The Key" = [\n  "[source.x]",\n]\n\'a.b\'.c = { d = 1 }\n'

    assert lines_of(odd) == {
        ("source", 'Odd ] "Table'): 1,
        ("source", 'Odd ] "Table', "The Key"): 2,
        ("source", 'Odd ] "Table', "a.b", "c"): 5,
    }
    assert (
        text.splitlines()[lines_of(text)["star", "fact_payment", "references"] - 1] == "[star.fact_payment.references]"
    )
