"""The page of the warehouse's columns is written out of the tables that `tidemark init` makes for totesys."""

from collections.abc import Callable, Iterator

import psycopg
import pytest

from tests.support.written_docs import require_written, table
from tidemark.model import StarTable
from tidemark.model_reader import load_model
from tidemark.warehouse.schema import init

COLUMNS = """
    select
        columns.attname,
        format_type(columns.atttypid, columns.atttypmod),
        columns.attnotnull,
        coalesce(
            (
                select 'p' from pg_constraint as keys
                where keys.conrelid = columns.attrelid and keys.contype = 'p' and columns.attnum = any(keys.conkey)
            ),
            ''
        ),
        coalesce(
            (
                select refers.confrelid::regclass::text from pg_constraint as refers
                where refers.conrelid = columns.attrelid and refers.contype = 'f'
                    and columns.attnum = any(refers.conkey)
            ),
            ''
        ),
        coalesce(col_description(columns.attrelid, columns.attnum), '')
    from pg_attribute as columns
    where columns.attrelid = %s::regclass and columns.attnum > 0 and not columns.attisdropped
    order by columns.attnum
"""


def test_the_page_of_columns_is_what_init_makes(
    new_database: Callable[..., str], request: pytest.FixtureRequest
) -> None:
    model = load_model("totesys")
    url = new_database()
    init(url, model)

    with psycopg.connect(url) as connection:
        lines = [line for star in (*model.facts, *model.dimensions) for line in _written(connection, star)]

    require_written(request.config, "warehouse_columns.md", "columns", lines)


def _written(connection: psycopg.Connection, star: StarTable) -> Iterator[str]:
    (said,) = connection.execute("select obj_description(%s::regclass)", [star.name]).fetchone() or ("",)
    yield from ["", f"## {star.name}", "", said or ""]
    rows = [
        [f"`{name}`", kind, _role(is_key=key == "p", refers=refers, is_required=required), said.replace("|", "\\|")]
        for name, kind, required, key, refers, said in connection.execute(COLUMNS, [star.name])
    ]
    yield from table(["column", "type", "role", "meaning"], rows)[:-1]


def _role(*, is_key: bool, refers: str, is_required: bool) -> str:
    if is_key:
        return "primary key"
    parts = [f"refers to [{refers}](#{refers})" if refers else "", "" if is_required else "may be null"]
    return ", ".join(part for part in parts if part)
