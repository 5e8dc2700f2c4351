"""The shape of a star table: what is wrong with its table in warehouse.sql, and where its SELECT does not fit it.

What is found here would stop a run, or would leave a column empty without a word. The rows are judged elsewhere.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from tidemark.errors import ConfigError
from tidemark.lake.delta_schema import can_hold
from tidemark.log.columns import is_reserved
from tidemark.model import Model, StarTable
from tidemark.postgres.statements import bare, headline, split_statements
from tidemark.star.limits import WHOLE_NUMBERS, Limit, limits_of
from tidemark.star.star_sql import BATCH, HISTORY, MARK

VALID_TO = "valid_to"
# A foreign key to a table of this name.
REFERENCES = r"^(?:create|alter)\s+table\b.*\breferences\s+\"?{}\b"
# Types that PostgreSQL has and the lake has not, in PostgreSQL's words.
IN_POSTGRES = {"BLOB": "bytea", "BIT": "bit", "TIME WITH TIME ZONE": "time with time zone"}


def require_shapes(model: Model) -> None:
    """Raise one ConfigError that names everything that is wrong with the star's tables in the warehouse."""
    wrong = faults_of_tables(model, limits_of(model))
    if wrong:
        raise ConfigError.of(wrong, advice=f"mend {where_to_mend(model)}")


def where_to_mend(model: Model) -> Path:
    """Give the file that makes the star's tables; the directory if the model has no such file."""
    path = model.directory / "warehouse.sql"
    return path if path.is_file() else model.directory


def faults_of_tables(model: Model, limits: Mapping[str, Mapping[str, Limit]]) -> list[str]:
    """Say, in one sentence each, what is wrong with the star's tables in warehouse.sql.

    A table with a type that DuckDB does not know has no limits, and of its columns nothing is said.
    """
    wrong: list[str] = []
    statements = list(map(bare, split_statements(model.warehouse_sql)))
    for star in model.stars.values():
        wrong += [
            f"{headline(each)} refers to {star.name}, which has several rows for a key: a foreign key cannot point"
            " there; take it out, since transform and verify see that each reference finds its key"
            for each in statements
            if star.history and re.search(REFERENCES.format(re.escape(star.name)), each, re.IGNORECASE | re.DOTALL)
        ]
        if limits[star.name]:
            wrong += [*_history(star, limits[star.name]), *_columns(star, limits[star.name])]
    return wrong


def faults_of_select(star: StarTable, yielded: Mapping[str, str], table: Mapping[str, Limit]) -> list[str]:
    """Say, in one sentence each, where the columns that a SELECT yields do not fit the star or its table.

    Args:
        star: the star table.
        yielded: the columns of its SELECT with their DuckDB types.
        table: the limits of its columns in warehouse.sql; empty if they are unknown.
    """
    own, where = own_columns(star), f"{star.path}.sql"
    taken = [name for name in yielded if name.lower() in own or is_reserved(name)]
    wrong = [f"{where} yields {name}, which Tidemark itself gives to a row: call it otherwise" for name in taken]
    lacking = [name for name in star.row_key if name not in yielded]
    if table:
        surplus = [name for name in yielded if name not in table and name not in taken]
        wrong += [f"{where} yields {name}, which {star.name} in warehouse.sql does not have" for name in surplus]
        lacking += [
            name
            for name, limit in table.items()
            if name not in yielded and name not in lacking and name.lower() not in own and not limit.has_default
        ]
    wrong += [
        f"{where} does not yield {name}, which {star.name} has: add it to the SELECT, or take it out of warehouse.sql"
        for name in lacking
    ]
    return wrong + [
        f"{where} yields {kind} for {name}, which the star cannot hold: cast it to another type"
        for name, kind in yielded.items()
        if not can_hold(table[name].lake_type if name in table else kind)
    ]


def own_columns(star: StarTable) -> Collection[str]:
    """Name the columns that Tidemark itself gives to the rows of a star table, in lower case."""
    return {name.lower() for name in [*filled_columns(star), *BATCH]}


def filled_columns(star: StarTable) -> Mapping[str, str]:
    """Give the columns of a star table in the warehouse that Tidemark itself fills, with their DuckDB types."""
    if star.is_versioned:
        return {star.key[0]: "BIGINT", **HISTORY, VALID_TO: "TIMESTAMP"}
    return MARK if star.soft_delete else {}


def _history(star: StarTable, table: Mapping[str, Limit]) -> Iterator[str]:
    """Check the columns that Tidemark fills, and the key by which it finds the versions of a dimension's row."""
    if not star.is_versioned and "batch_id" in map(str.lower, table):
        yield f"{star.name} has a column batch_id, which Tidemark itself gives to a dimension: call it otherwise"
    if star.history:
        nullable = [name for name in star.source_key if name in table and not table[name].is_required]
        yield from (f"{star.name}.{name} may be null: it names a row, so write not null" for name in nullable)
    for name, kind in filled_columns(star).items():
        if name not in table:
            yield f"{star.name} has no column {name}: expected {name} {kind.lower()}"
        elif table[name].type != kind and not (kind == "BIGINT" and table[name].type in WHOLE_NUMBERS):
            yield f"{star.name}.{name} is {_written(table[name].type)}: expected {kind.lower()}"
        elif table[name].is_rounded:
            yield f"{star.name}.{name} rounds its seconds: expected {kind.lower()} without a precision"
        elif name == VALID_TO and table[name].is_required:
            yield f"{star.name}.{name} is not null: the newest version of a row has no end, so let it be null"


def _columns(star: StarTable, table: Mapping[str, Limit]) -> Iterator[str]:
    """Check the columns that the SELECT fills."""
    for name, limit in table.items():
        if is_reserved(name):
            yield f"{star.name} has a column {name}, which Tidemark itself gives to a row: call it otherwise"
        elif not can_hold(limit.lake_type) and not limit.has_default:
            advice = "write text instead; the SELECT sees such values of the source as PostgreSQL's own text"
            yield f"{star.name}.{name} is {_written(limit.type)}, which the star cannot hold: {advice}"
    for name in _named(star):
        if name not in table:
            yield f"{star.name} has no column {name}, which model.toml names"


def _named(star: StarTable) -> Sequence[str]:
    names = [*star.key, *star.source_key, *star.references]
    # A version's surrogate key is among the columns of its history.
    return names[1:] if star.is_versioned else names


def _written(kind: str) -> str:
    base, array, rest = kind.partition("[")
    return IN_POSTGRES.get(base, base.lower()) + array + rest
