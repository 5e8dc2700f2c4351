"""Named SQL: read the files of `sql/`, and cut each into statements at the lines that name them.

`sql/*.sql` is for PostgreSQL, `sql/duckdb/*.sql` for DuckDB, `sql/datafusion.sql` for the query engine of delta-rs,
`sql/athena.sql` for Athena.
"""

from collections.abc import Mapping
from functools import cache
from importlib import resources
from string import Formatter

MARK = "-- name: "


@cache
def named(file: str) -> Mapping[str, str]:
    """Give the statements of `sql/<file>.sql` by name, each without its semicolon."""
    text = (resources.files("tidemark") / "sql" / f"{file}.sql").read_text("utf-8")
    blocks = (block.partition("\n") for block in text.split(MARK)[1:])
    return {name.strip(): statement.strip().removesuffix(";") for name, _, statement in blocks}


def filled(file: str, name: str, parts: Mapping[str, str]) -> str:
    """Give a statement with its {parts} filled in; raise TypeError if the given parts are not exactly those it has."""
    found = named(file)[name]
    wanted = {field for _, field, _, _ in Formatter().parse(found) if field}
    if wanted != parts.keys():
        raise TypeError(f"{name} of sql/{file}.sql has the parts {sorted(wanted)}, got {sorted(parts)}")
    return found.format(**parts)
