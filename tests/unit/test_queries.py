import ast
import re
from functools import cache
from importlib import resources
from pathlib import Path

import pytest
from psycopg import sql

from tidemark.lake.sqltext import Rows, quoted, select
from tidemark.named_sql import MARK
from tidemark.postgres.queries import query

PACKAGE = Path(str(resources.files("tidemark")))
FILES = sorted(path.relative_to(PACKAGE / "sql").as_posix() for path in (PACKAGE / "sql").rglob("*.sql"))


@cache
def strings() -> frozenset[str]:
    """Return every text that stands in the code by itself."""
    return frozenset(
        node.value
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    )


@pytest.mark.parametrize("file", FILES)
def test_every_statement_of_a_file_has_a_name_of_its_own_and_is_used(file: str) -> None:
    names = re.findall(rf"^{MARK}(.*)$", (PACKAGE / "sql" / file).read_text("utf-8"), flags=re.MULTILINE)

    assert names
    assert len(set(names)) == len(names)
    assert set(names) - strings() == set()


def test_a_query_takes_identifiers_and_ends_without_a_semicolon() -> None:
    found = query("warehouse", "is_empty", table=sql.Identifier('odd "name"')).as_string()

    assert found == 'select not exists (select from "odd ""name""")'


def test_a_query_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        query("warehouse", "no such query")


def test_a_select_is_filled_in_and_ends_without_a_semicolon() -> None:
    found = select("files", "fields", fields=quoted('odd "{name}"'), rows=Rows("t"))

    assert found == 'select "odd ""{name}"""\nfrom t'


def test_a_part_too_few_or_too_many_is_an_error() -> None:
    with pytest.raises(TypeError, match=r"has the parts \['fields', 'rows'\], got \['rows'\]"):
        select("files", "fields", rows=Rows("t"))
    with pytest.raises(TypeError, match="other"):
        select("files", "fields", fields=quoted("a"), rows=Rows("t"), other=quoted("b"))
