"""The types of a star table's key: whether two keys of the source can become one on the way into the warehouse.

The star tells keys apart by their text. A key column whose type reads two texts as one value, such as `A0…` and `a0…`
as one uuid, has one row where the star has two, and then no later batch can be loaded. So such a model is refused
before a row moves.
"""

from collections.abc import Iterator, Mapping, Sequence

from tidemark.lake.sqltext import text
from tidemark.log.columns import Column
from tidemark.model import Model, StarTable
from tidemark.star.limits import ENUM_TYPE, FLOATS, PADDED_TYPE, WHOLE_NUMBERS, Limit

# DuckDB's types whose values have several texts, with the source's types that have one text for each value.
SEVERAL_TEXTS = {"UUID": "uuid", "TIME": "time without time zone"}
# The types of which a float type has every value.
WITHIN = {"FLOAT": {"FLOAT", "TINYINT", "SMALLINT"}, "DOUBLE": {*FLOATS, "TINYINT", "SMALLINT", "INTEGER"}}
IN_POSTGRES = {"VARCHAR": "text", "FLOAT": "real", "DOUBLE": "double precision"}


def marked(column: Column) -> str:
    """Give the DuckDB type in which a SELECT sees a column; for text it is an enum that names the source's type.

    An enum stays what it is wherever a SELECT passes a value on. What makes another text of it yields plain text.
    """
    if column.typed != "VARCHAR":
        return column.typed
    name = column.base_type.rpartition(".")[2].strip('"').lower()
    return f"{ENUM_TYPE}{text(PADDED_TYPE if column.is_padded else name)})"


def is_marked(star: StarTable, limits: Mapping[str, Limit]) -> bool:
    """Say whether the source's types of text decide if the star table's key can be held."""
    held = [limits[name] for name in star.row_key if name in limits]
    return any(limit.other_type or limit.type in SEVERAL_TEXTS for limit in held)


def faults_of_keys(
    star: StarTable,
    model: Model,
    found: Mapping[str, str],
    limits: Mapping[str, Limit],
    columns: Mapping[str, Sequence[Column]],
) -> list[str]:
    """Say, in one sentence each, where two keys of the source may become one.

    Args:
        star: the star table.
        model: the model.
        found: the columns that its SELECT yields, with their types as `marked` has them.
        limits: the limits of its columns.
        columns: the columns of the source's tables.
    """
    source = dict[str, str]()
    if star.driving:
        types = {column.name: marked(column) for column in columns[star.driving]}
        source = {
            alias: types[name] for alias, name in zip(star.source_key, model.sources[star.driving].key, strict=True)
        }
    key = [name for name in star.row_key if name in found]
    cast = [
        name for name in key if name in source and not tells_apart(Limit(found[name], is_required=True), source[name])
    ]
    return [
        *(
            f"{star.path}.sql yields {_written(found[name])} for {name}, which is {_written(source[name])} in the"
            " source: two keys may become one; yield it as it is"
            for name in cast
        ),
        *(
            fault
            for name in key
            if name in limits and name not in cast
            for fault in _faults(star, name, found[name], limits[name])
        ),
    ]


def tells_apart(limit: Limit, found: str) -> bool:
    """Say whether a column has another value for each value of a type; see `marked`."""
    source = found.removeprefix(ENUM_TYPE).strip("')") if found.startswith(ENUM_TYPE) else ""
    if limit.other_type:
        return source == limit.other_type
    if limit.type in SEVERAL_TEXTS:
        return found == limit.type or source == SEVERAL_TEXTS[limit.type]
    if source or found == "VARCHAR":
        # A date is taken in one form alone.
        return limit.lake_type in ("VARCHAR", "DATE")
    if limit.type in WITHIN:
        return found in WITHIN[limit.type]
    return found not in FLOATS or limit.type in WHOLE_NUMBERS or limit.type == "VARCHAR"


def _faults(star: StarTable, name: str, found: str, limit: Limit) -> Iterator[str]:
    if limit.is_rounded:
        where = f"{star.name}.{name} rounds the seconds of a {_written(limit.type)}"
        yield f"{where}: two keys may become one there; write no precision in warehouse.sql"
    elif not tells_apart(limit, found):
        where = f"{star.name}.{name} is {limit.other_type or _written(limit.type)}"
        yields = f"{star.path}.sql yields {_written(found)} for it: two keys may become one there"
        yield f"{where}, and {yields}; write {_written(found)} in warehouse.sql"


def _written(kind: str) -> str:
    """Write a type as PostgreSQL has it."""
    return IN_POSTGRES.get(kind, kind.removeprefix(ENUM_TYPE).strip("')").lower())
