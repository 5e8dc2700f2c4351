"""The catalogue: which tables of the source a mirror can have, and why it cannot have the others."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemark.capture.kinds import PARTITIONED, Relation, obstacle
from tidemark.log.changelog import Manifest
from tidemark.mirror import Mirror, Scope
from tidemark.model import HISTORY, MirroredTable, Model, mirror_name

if TYPE_CHECKING:
    from tidemark.capture.source import Source

KEY_WANTED = "add a primary key or a unique index over columns that are not null"


@dataclass(frozen=True)
class Catalogued:
    """A model as of the source's catalogue, and the tables that it cannot have, each with the reason."""

    model: Model
    left_out: Mapping[str, str]


def catalogued(source: "Source", model: Model, head: Manifest | None) -> Catalogued:
    """Make a mirror of what the source has now and of what the log has already; another model stays as it is."""
    if not isinstance(model, Mirror):
        return Catalogued(model, {})
    before = head.mirrored if head else {}
    relations = [each for each in source.relations(model.scope.schemas) if not each.is_partition]
    wanted = {each.name: each for each in relations if model.scope.takes(each.schema_name, each.table_name)}
    left_out = {name: reason for name, each in wanted.items() if (reason := _reason(each, wanted, before, model.scope))}
    followed = {
        name: _mirrored(each, before.get(name), model.scope) for name, each in wanted.items() if name not in left_out
    }
    # What the log has stays in it. What the source still has, though nobody may follow it, stays as it was.
    there = {each.name for each in relations}
    kept = {
        name: replace(table, is_followed=False, is_dropped=name not in there)
        for name, table in before.items()
        if name not in followed
    }
    return Catalogued(model.following(followed | kept), left_out)


def _mirrored(relation: Relation, before: MirroredTable | None, scope: Scope) -> MirroredTable:
    hidden = scope.leaves_out(relation.schema_name, relation.table_name, relation.columns)
    known = before.columns if before else {}
    # The poll fills in the types, which it reads in its snapshot.
    columns = {name: known.get(name, "") for name in relation.columns if name not in hidden}
    key = _key(relation, before)
    parts = (relation.schema_name, relation.table_name, key, {**known, **columns}, hidden)
    return MirroredTable(*parts, is_partitioned=relation.kind == PARTITIONED)


def _key(relation: Relation, before: MirroredTable | None) -> tuple[str, ...]:
    """Choose the key: that of the batches before, as long as it is one, or else the best."""
    known = [each for each in relation.keys if before and set(each) == set(before.key)]
    return before.key if before and known else tuple(relation.keys[0])


def _reason(
    relation: Relation, wanted: Mapping[str, Relation], before: Mapping[str, MirroredTable], scope: Scope
) -> str:
    """Say why a mirror cannot have a relation; empty if it can."""
    return next(_obstacles(relation, wanted, before.get(relation.name), scope), "")


def _obstacles(
    relation: Relation, wanted: Mapping[str, Relation], before: MirroredTable | None, scope: Scope
) -> Iterator[str]:
    table = f"{relation.schema_name}.{relation.table_name}"
    if found := obstacle(table, relation.kind, is_populated=relation.is_populated):
        yield found.removeprefix("source table ")
        return
    if not relation.may_select:
        yield f"the role may not read it: grant select on {table}"
    if not relation.keys:
        yield f"it has no key: {KEY_WANTED}"
        return
    key = _key(relation, before)
    if before and set(before.key) != set(key):
        yield f"its key was ({', '.join(before.key)}) and is ({', '.join(key)}): its history goes by the old one"
    if hidden := set(key) & set(scope.leaves_out(relation.schema_name, relation.table_name, key)):
        yield f"its key column {', '.join(sorted(hidden))} is excluded, and without it no row can be told from another"
    # DuckDB and Delta tables take names that differ in case alone for one.
    lowered = [name.lower() for name in relation.columns]
    if len(set(lowered)) < len(lowered):
        yield "it has columns whose names differ in case alone: exclude all but one of them"
    base = relation.table_name.removesuffix(HISTORY)
    if base != relation.table_name and mirror_name(relation.schema_name, base) in wanted:
        yield f"the versions of {base} have its name in the warehouse: exclude one of the two"
