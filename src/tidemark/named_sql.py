"""Named SQL: the files of `sql/`, each cut into statements at the lines that name them.

`sql/*.sql` is for PostgreSQL, `sql/duckdb/*.sql` for DuckDB; the rooms `postgres` and `lake` fill in their {parts}.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources

MARK = "-- name: "


@cache
def named(file: str) -> Mapping[str, str]:
    """Give the statements of `sql/<file>.sql` by name, each without its semicolon."""
    text = (resources.files("tidemark") / "sql" / f"{file}.sql").read_text("utf-8")
    blocks = (block.partition("\n") for block in text.split(MARK)[1:])
    return {name.strip(): statement.strip().removesuffix(";") for name, _, statement in blocks}
