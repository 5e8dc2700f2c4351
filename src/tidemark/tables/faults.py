"""What bars the derivation of a star table's table: what is wrong with its SELECT or with its lines in model.toml."""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from tidemark.log.columns import is_reserved
from tidemark.model import StarTable
from tidemark.tables.column_types import type_of_select

# The column by which a dimension's row is marked.
MARK = {"is_deleted": "boolean"}
# The columns by which a row is a version.
HISTORY = {"valid_from": "timestamp", "is_deleted": "boolean", "batch_id": "bigint", "valid_to": "timestamp"}


def faults_of(star: StarTable, kinds: Mapping[str, str], names: Sequence[str]) -> list[str]:
    """Say, in one sentence each, what bars the derivation.

    Args:
        star: the star table.
        kinds: the columns that its SELECT yields, with DuckDB's types; none if it is not one SELECT.
        names: the names of these columns, each as often as the SELECT yields it.
    """
    if not kinds:
        return [f"{star.path}.sql is not one SELECT: expected no other statement"]
    return [*_of_select(star, kinds, names), *_of_lines(star, kinds)]


def _of_select(star: StarTable, kinds: Mapping[str, str], names: Sequence[str]) -> Iterator[str]:
    where = f"{star.path}.sql"
    own = {*HISTORY, star.key[0].lower()} if star.is_versioned else {"batch_id", *(MARK if star.soft_delete else ())}
    for name, count in Counter(name.lower() for name in names).items():
        if count > 1:
            yield f"{where} yields two columns {name}: give one of them another name"
    for name, kind in kinds.items():
        if name.lower() in own or is_reserved(name):
            yield f"{where} yields {name}, which Tidemark itself gives to a row: call it otherwise"
        elif name not in star.types and type_of_select(kind) is None:
            yield f"{where} yields {kind} for {name}, which the star cannot hold: cast it to another type"


def _of_lines(star: StarTable, kinds: Mapping[str, str]) -> Iterator[str]:
    keys = star.row_key
    named = {
        "source_key" if star.kind == "fact" else "key": keys,
        "references": star.references,
        "types": star.types,
        "nullable": star.nullable,
        "not_null": star.not_null,
    }
    for setting, names in named.items():
        for name in (name for name in names if name not in kinds):
            yield (
                f"{star.path}.sql does not yield {name}, which [star.{star.name}] {setting} names: add it to the SELECT"
            )
    for name in (name for name in star.nullable if name in (*keys, *star.not_null)):
        yield f"[star.{star.name}] nullable names {name}, which is in a key or in not_null: take it out of one of them"
