"""A model's source.toml: the columns that the source's tables had when the file was written.

The warehouse's tables are derived from them, so the file is what the star promises: what the source becomes later
changes no table of the warehouse before somebody writes the file anew.

    [loan]
    loan_id = "integer not null"
    fee = "numeric(10,2)"
"""

import json
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tidemark.errors import ConfigError
from tidemark.log.columns import Column

FILE = "source.toml"
REQUIRED = " not null"
PLAIN = re.compile(r"[A-Za-z0-9_-]+")
HEADER = "# The columns of the source, with PostgreSQL's types. The warehouse's tables are derived from these.\n"


def read_source(directory: Path) -> dict[str, tuple[Column, ...]]:
    """Give the columns of each source table as a model's source.toml has them; nothing where there is no such file.

    Raises:
        ConfigError: the file is no TOML, or something in it is no column; every problem is named.
    """
    path = directory / FILE
    if not path.is_file():
        return {}
    try:
        tables = tomllib.loads(path.read_text("utf-8"))
    except tomllib.TOMLDecodeError as exc:
        message = f"{path} is not TOML: {exc}"
        raise ConfigError(message, advice="mend that line") from exc
    problems = list(_problems(tables))
    if problems:
        raise ConfigError.of([f"{path}: {problem}" for problem in problems], advice="mend that line")
    return {name: tuple(map(column_of, columns, columns.values())) for name, columns in tables.items()}


def write_source(directory: Path, tables: Mapping[str, Sequence[Column]]) -> Path:
    """Write the columns of source tables to a model's source.toml, whatever it held, and give its path."""
    path = directory / FILE
    path.write_text(source_text(tables), "utf-8")
    return path


def source_text(tables: Mapping[str, Sequence[Column]]) -> str:
    """Write the columns of source tables as a source.toml has them."""
    sections = (
        "".join([f"\n[{_key(name)}]\n", *(f"{_key(each.name)} = {_quoted(written(each))}\n" for each in columns)])
        for name, columns in tables.items()
    )
    return HEADER + "".join(sections)


def _problems(tables: Mapping[str, object]) -> Iterator[str]:
    for name, columns in tables.items():
        if not isinstance(columns, dict):
            yield f"{name} is {columns!r}: expected a table [{name}] of columns"
            continue
        for column, kind in columns.items():
            if not isinstance(kind, str) or not kind.removesuffix(REQUIRED).strip():
                yield f'[{name}] {column} is {kind!r}: expected a type, such as "integer not null"'


def column_of(name: str, written: str) -> Column:
    """Read a column as source.toml has it."""
    return Column(name, written.removesuffix(REQUIRED), nullable=not written.endswith(REQUIRED))


def written(column: Column) -> str:
    """Write a column's type and whether it may be null, as source.toml has it."""
    return column.type if column.nullable else column.type + REQUIRED


def _key(name: str) -> str:
    return name if PLAIN.fullmatch(name) else _quoted(name)


def _quoted(text: str) -> str:
    """Write a string of TOML: it escapes what JSON does, and the character DEL as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
