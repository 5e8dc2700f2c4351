"""The page for a stranger's database: every command on it does what it says, and every line about SQL is true."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.support.postgres import Postgres

REPOSITORY = Path(__file__).parents[2]
GROCER = REPOSITORY / "tests" / "models" / "grocer"
PAGE = (REPOSITORY / "docs" / "own_database.md").read_text("utf-8")
CONSOLES = [
    re.findall(r"^\$ (.+)$", block, re.MULTILINE) for block in re.findall(r"```console\n(.*?)```", PAGE, re.DOTALL)
]
DIALECTS = [
    [cell.strip() for cell in row.strip("|").split(" | ")]
    for row in PAGE.partition("| expression | PostgreSQL | DuckDB |")[2].splitlines()
    if row.startswith("| `")
]
# The first block of commands that is to find changes.
AFTER_ACTIVITY = 2
NOT_HERE = " in a database with the collation"


def change(source: str, file: str) -> None:
    """Run the grocer's statements in a source."""
    with psycopg.connect(source) as connection:
        connection.execute((GROCER / file).read_bytes())


def test_every_command_of_the_page_works(
    postgres: Postgres, new_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, mirror, star = (new_database() for _ in range(3))
    change(source, "schema.sql")
    addresses = iter([source, mirror, star])
    monkeypatch.chdir(tmp_path)
    for folder in (postgres.programs, Path(sys.executable).parent):
        monkeypatch.setenv("PATH", str(folder), prepend=":")
    said: dict[str, str] = {}

    for number, commands in enumerate(CONSOLES):
        if number == AFTER_ACTIVITY:
            change(source, "activity.sql")
        for command in commands:
            if setting := re.fullmatch(r"export (\w+)=(.+)", command):
                name, value = setting.groups()
                monkeypatch.setenv(name, next(addresses) if value.startswith("postgresql://") else value)
                continue
            shell = ["/bin/sh", "-c", command]
            done = subprocess.run(shell, capture_output=True, text=True, check=False)  # noqa: S603 -- the page's own
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said[command] = done.stdout

    assert "Berlin" in next(text for command, text in said.items() if "buyer" in command)
    history = next(text for command, text in said.items() if "purchase_history" in command)
    assert "12" in history
    assert "decide" in said["grep -rn decide grocer"]
    assert "no difference" in said["tidemark verify"]
    assert "no difference" in said["tidemark verify --model mirror"]


@pytest.mark.parametrize(
    ("expression", "in_postgres", "in_duckdb"), [row for row in DIALECTS if NOT_HERE not in row[0]]
)
def test_the_two_dialects_differ_as_the_page_says(
    postgres: Postgres, expression: str, in_postgres: str, in_duckdb: str
) -> None:
    query = f"select ({expression.strip('`')})"

    with psycopg.connect(postgres.url("postgres")) as connection, duckdb.connect() as engine:
        connection.execute("set timezone to 'UTC'")
        found = [_answer(ask, query) for ask in (connection.execute, engine.execute)]

    assert found == [in_postgres, in_duckdb]


def _answer(ask: Callable[[str], object], query: str) -> str:
    try:
        value = ask(query).fetchone()[0]  # type: ignore[attr-defined]
    except (psycopg.Error, duckdb.Error):
        return "error"
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "null" if value is None else f"`{value}`"
