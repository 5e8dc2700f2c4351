"""The page for a stranger's database: every command on it does what it says, and every line about SQL is true."""

from collections.abc import Callable
from pathlib import Path

import duckdb
import psycopg
import pytest

from tests.support.consoles import Terminal
from tests.support.grocer import change
from tests.support.postgres import Postgres

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs" / "own_database.md").read_text("utf-8")
DIALECTS = [
    [cell.strip() for cell in row.strip("|").split(" | ")]
    for row in PAGE.partition("| expression | PostgreSQL | DuckDB |")[2].splitlines()
    if row.startswith("| `")
]
# The first block of commands that is to find changes.
AFTER_ACTIVITY = 2
NOT_HERE = " in a database with the collation"


def test_every_command_of_the_page_works(
    new_database: Callable[..., str], tmp_path: Path, path_of_programs: str
) -> None:
    source, mirror, star = (new_database() for _ in range(3))
    change(source, "schema.sql")
    terminal = Terminal(tmp_path, {"PATH": path_of_programs}, (source, mirror, star))

    said = terminal.read("own_database.md", {AFTER_ACTIVITY: lambda: change(source, "activity.sql")})

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
