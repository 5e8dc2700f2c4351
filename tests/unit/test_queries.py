import re
from importlib import resources

import pytest
from psycopg import sql

from tidemark.postgres.queries import MARK, query

FILES = sorted(path.name.removesuffix(".sql") for path in (resources.files("tidemark") / "sql").iterdir())


def named(file: str) -> list[str]:
    text = (resources.files("tidemark") / "sql" / f"{file}.sql").read_text("utf-8")
    return re.findall(rf"^{MARK}(.*)$", text, flags=re.MULTILINE)


@pytest.mark.parametrize("file", FILES)
def test_every_query_of_a_file_has_a_name_of_its_own(file: str) -> None:
    names = named(file)

    assert names
    assert len(set(names)) == len(names)


def test_a_query_takes_identifiers_and_ends_without_a_semicolon() -> None:
    found = query("warehouse", "is_empty", table=sql.Identifier('odd "name"')).as_string()

    assert found == 'select not exists (select from "odd ""name""")'


def test_a_query_that_is_not_there_is_a_key_error() -> None:
    with pytest.raises(KeyError):
        query("warehouse", "no such query")
