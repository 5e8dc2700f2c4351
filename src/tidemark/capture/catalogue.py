"""The catalogue: which tables of the source a mirror can have, and why it cannot have the others."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from tidemark.capture.kinds import PARTITIONED, Relation, obstacle
from tidemark.errors import contract_error
from tidemark.log.changelog import Manifest
from tidemark.log.columns import Column, is_reserved, is_told_apart
from tidemark.mirror import Mirror, Scope
from tidemark.model import MirroredTable, Model, history_name

if TYPE_CHECKING:
    from tidemark.capture.source import Source

# The schema of the ledger in the warehouse.
LEDGER_SCHEMA = "tidemark"
KEY_WANTED = "add a primary key or a unique index over columns that are not null"


@dataclass(frozen=True)
class Catalogued:
    """A model as of the source's catalogue, and the tables that it cannot have, each with the reason."""

    model: Model
    left_out: Mapping[str, str]


def catalogued(source: "Source", model: Model, head: Manifest | None) -> Catalogued:
    """Make a mirror of what the source has now and of what the log has already; another model stays as it is.

    Raises:
        ContractError: a table is gone that must not change.
    """
    if not isinstance(model, Mirror):
        return Catalogued(model, {})
    before = head.mirrored if head else {}
    known = {name: entry.columns for name, entry in head.tables.items()} if head else {}
    # Schemas too that nobody wants any more, so that their tables do not count as dropped.
    schemas = sorted({*model.scope.schemas, *(table.schema for table in before.values())})
    relations = [each for each in source.relations(schemas) if not each.is_partition]
    wanted = {each.name: each for each in relations if model.scope.takes(each.schema_name, each.table_name)}
    left_out = {}
    for name, each in wanted.items():
        obstacles = [*_obstacles(each, model.scope), *_in_the_warehouse(each, wanted)]
        obstacles += _unlike_before(each, before[name], known[name], model.scope) if name in before else []
        if obstacles:
            left_out[name] = obstacles[0]
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
    found = model.following(followed | kept)
    lost = [
        f'{name} is gone, and the model says evolve = "stop"'
        for name, table in kept.items()
        if table.is_dropped and not before[name].is_dropped and found.sources[name].evolve == "stop"
    ]
    if lost:
        raise contract_error(lost)
    return Catalogued(found, left_out)


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


def _obstacles(relation: Relation, scope: Scope) -> Iterator[str]:
    """Say why a mirror cannot have a relation."""
    table = f"{relation.schema_name}.{relation.table_name}"
    if found := obstacle(table, relation.kind, is_populated=relation.is_populated):
        yield found.removeprefix("source table ")
        return
    if not relation.may_select:
        yield f"the role may not read it: grant select on {table}"
    if not relation.keys:
        yield f"it has no key: {KEY_WANTED}"
        return
    hidden = scope.leaves_out(relation.schema_name, relation.table_name, relation.columns)
    if lost := set(relation.keys[0]) & set(hidden):
        yield f"its key column {', '.join(sorted(lost))} is excluded, and without it no row can be told from another"
    shown = [name for name in relation.columns if name not in hidden]
    # DuckDB and Delta tables take names that differ in case alone for one.
    if len({name.lower() for name in shown}) < len(shown):
        yield "it has columns whose names differ in case alone: exclude all but one of them"
    if taken := [name for name in shown if is_reserved(name)]:
        yield f"Tidemark itself gives a row a column {taken[0]}: exclude that column of the source, or rename it"


def _in_the_warehouse(relation: Relation, wanted: Mapping[str, Relation]) -> Iterator[str]:
    """Say why the warehouse has no place for a relation."""
    if relation.schema_name == LEDGER_SCHEMA:
        yield f"the warehouse has Tidemark's ledger in its schema {LEDGER_SCHEMA}: mirror a view of it elsewhere"
    for other in wanted.values():
        if other.schema_name == relation.schema_name and history_name(other.table_name) == relation.table_name:
            yield f"the versions of {other.table_name} have its name in the warehouse: exclude one of the two"


def _unlike_before(relation: Relation, before: MirroredTable, columns: Sequence[Column], scope: Scope) -> Iterator[str]:
    """Say why what a relation is now cannot go on where its history ends."""
    if not relation.keys:
        return
    key, types = _key(relation, before), dict(zip(relation.columns, relation.types, strict=True))
    if set(before.key) != set(key):
        yield f"its key was ({', '.join(before.key)}) and is ({', '.join(key)}): its history goes by the old one"
        return
    for each in columns:
        if each.name in key and not is_told_apart(each, Column(each.name, types[each.name])):
            yield f"its key {each.name} was {each.type} and is {types[each.name]}: its history goes by the old one"
    had = {name.lower(): name for name in before.columns}
    hidden = scope.leaves_out(relation.schema_name, relation.table_name, relation.columns)
    for name in relation.columns:
        if name not in hidden and had.get(name.lower(), name) != name:
            yield f"its column {name} was called {had[name.lower()]}, and both cannot be told apart: exclude it"
