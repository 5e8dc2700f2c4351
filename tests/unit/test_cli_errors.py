"""How errors leave the command line: exit codes, the block for people, the object for machines, and no passwords."""

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark import cli, errors
from tidemark.cli.failures import show_error
from tidemark.cli.output import masked
from tidemark.errors import StateError, family_of
from tidemark.objects import ObjectMissingError

SECRET = "s3cr3t"  # noqa: S105 -- not one


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.chdir(tmp_path)
    root, ours = logging.getLogger(), logging.getLogger("tidemark")
    handlers, level = list(root.handlers), ours.level
    yield
    root.handlers[:] = handlers
    ours.setLevel(level)


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> Callable[[Exception], None]:
    """Let every command end in an error."""

    def prepare(error: Exception) -> None:
        def app(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("tidemark.cli.app.app", app)

    return prepare


def error_object(text: str) -> dict[str, Any]:
    document = json.loads(text)
    assert list(document) == ["error"]
    found: dict[str, Any] = document["error"]
    return found


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (errors.ConfigError("x"), 2),
        (errors.TransientError("x"), 3),
        (errors.ContractError("x"), 4),
        (errors.DataError("x"), 5),
        (errors.StateError("x"), 6),
        (errors.OvertakenError("x"), 6),
        (RuntimeError("x"), 1),
    ],
)
def test_the_exit_code_is_that_of_the_family(
    error: Exception, code: int, failing: Callable[[Exception], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(error)

    assert cli.run(["run"]) == code
    assert cli.run(["run", "--json"]) == code
    assert error_object(capsys.readouterr().out)["family"] == (type(error).__name__ if code > 1 else "unexpected")


def test_an_error_is_one_block_on_stderr(capsys: pytest.CaptureFixture[str]) -> None:
    code = show_error(errors.DataError("a row has no parent", advice="mend it [now]", table="payment"), as_json=False)

    shown = capsys.readouterr()
    assert (code, shown.out) == (5, "")
    assert shown.err == "error: a row has no parent\nwhat to do: mend it [now]\n"


def test_with_json_an_error_is_one_object_on_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(
        errors.DataError("a row has no parent", advice="mend it", table="payment", constraint=None), as_json=True
    )

    shown = capsys.readouterr()
    assert shown.err == ""
    assert error_object(shown.out) == {
        "family": "DataError",
        "message": "a row has no parent",
        "advice": "mend it",
        "facts": {"table": "payment"},
    }


def test_a_fact_may_be_a_list(capsys: pytest.CaptureFixture[str]) -> None:
    show_error(errors.StateError("manifests are missing", batches=[3, 4], table=""), as_json=True)

    assert error_object(capsys.readouterr().out)["facts"] == {"batches": [3, 4]}


def test_several_problems_are_all_among_the_facts(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.run(["run", "--json"]) == 2

    problems = error_object(capsys.readouterr().out)["facts"]["problems"]
    assert [text.split()[0] for text in problems] == ["TIDEMARK_SOURCE_URL", "TIDEMARK_WAREHOUSE_URL"]


def test_the_family_of_an_error_elsewhere_is_the_one_that_it_derives_from() -> None:
    assert family_of(ObjectMissingError("x")) is StateError


@pytest.mark.parametrize(
    ("arguments", "message", "command"),
    [
        (["nope"], "no such command 'nope'", "tidemark --help"),
        (["run", "--nope"], "no such option: --nope", "tidemark run --help"),
        (["run", "--every"], "option '--every' requires an argument", "tidemark --help"),
        (["history", "sales_order"], "missing argument 'KEY'", "tidemark history --help"),
    ],
)
def test_a_wrong_command_line_is_a_config_error_that_points_at_the_help(
    arguments: list[str], message: str, command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.run(["--json", *arguments]) == 2

    found = error_object(capsys.readouterr().out)
    assert found["family"] == "ConfigError"
    assert found["message"].startswith(message)
    assert command in found["advice"]


def test_an_unexpected_error_hides_its_traceback_unless_asked(
    failing: Callable[[Exception], None], capsys: pytest.CaptureFixture[str]
) -> None:
    failing(ZeroDivisionError("division by zero\nsecond line"))

    cli.run(["run"])
    short = capsys.readouterr().err
    cli.run(["run", "--verbose"])
    long = capsys.readouterr().err

    assert short.startswith("error: ZeroDivisionError: division by zero\n")
    assert "--verbose" in short
    assert "Traceback" not in short
    assert "Traceback" in long


@pytest.mark.parametrize("flags", [[], ["--json"], ["--verbose"]])
@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://reader:{SECRET}@127.0.0.1:1/x",
        f"postgresql://reader:{SECRET}%zz@127.0.0.1:1/x",
        f"postgresql://reader:{SECRET}@{SECRET}@127.0.0.1:1/x",
        f"postgresql://reader:a@{SECRET}/b@127.0.0.1:1/x",
        f"postgresql://reader@127.0.0.1:1/x?password={SECRET}",
        f"postgresql://reader:{SECRET}@127.0.0.1:{SECRET}/x",
        f"mysql://reader:{SECRET}@127.0.0.1/x",
    ],
)
@pytest.mark.parametrize("command", ["ingest", "status", "doctor"])
def test_no_password_is_shown(url: str, flags: list[str], command: str, capsys: pytest.CaptureFixture[str]) -> None:
    attempts = ["--attempts", "1"] if command == "ingest" else []

    cli.run([command, "--source-url", url, *attempts, *flags])

    shown = capsys.readouterr()
    assert SECRET not in shown.out + shown.err


@given(password=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=6))
def test_a_password_in_a_quoted_url_is_masked(password: str) -> None:
    text = masked(f'cannot parse "postgresql://reader:{password}@db.example/shop" at 3')

    assert text == 'cannot parse "postgresql://reader:***@db.example/shop" at 3'


def test_a_password_in_a_connection_string_is_masked() -> None:
    assert masked("host=db password=s3cr3t dbname=x") == "host=db password=*** dbname=x"
    assert masked("host=db password = 's3 cr3t' dbname=x") == "host=db password = *** dbname=x"
