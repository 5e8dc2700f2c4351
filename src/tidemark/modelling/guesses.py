"""What a table of a source probably is: which columns say when a row changed, and whether it is a fact.

Each guess comes with its reason, which goes into the model as a comment, so that a person can judge it.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from tidemark.log.columns import MOMENTS, Column
from tidemark.modelling.catalogue import Place, Relation
from tidemark.modelling.naming import plain

WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
UPDATED = {"update", "updated", "modify", "modified", "modification", "change", "changed", "altered", "upd"}
CREATED = {"create", "created", "creation", "insert", "inserted", "added", "entered"}
# What stands beside these words and says nothing else.
BESIDE = {"last", "at", "on", "date", "time", "datetime", "timestamp", "ts", "dt", "row", "record", "utc", "when"}
AMOUNTS = {"amount", "quantity", "qty", "units", "total", "price", "count", "points", "cost", "sum", "minutes", "hours"}
NUMBERS = {"numeric", "real", "double precision", "money"}
WHOLE = {"smallint", "integer", "bigint"}
# A table that others point at is still a fact if it points at so many more.
MANY_MORE = 2


@dataclass(frozen=True)
class Time:
    """A column that says when a row was created or last changed, and why it is taken for that."""

    column: str
    reason: str


@dataclass(frozen=True)
class Role:
    """Whether a table becomes a fact or a dimension, and why."""

    is_fact: bool
    reason: str


def updated_of(relation: Relation) -> Time | None:
    """Find the column that says when a row was last changed."""
    moments = [column for column in relation.columns if column.base_type in MOMENTS - {"date"}]
    for column in moments:
        if any(_sets(text, column.name) for text in relation.stampers):
            return Time(column.name, "a trigger sets it at each update")
    named = [column for column in moments if _is_called(column.name, UPDATED)]
    # One that may not be null and has a default is kept with more care.
    named.sort(key=lambda column: (column.nullable, column.name not in relation.defaults))
    if not named:
        return None
    column = named[0]
    default = relation.defaults.get(column.name)
    says = f"its name and its default {default} say so" if default else "its name says so"
    return Time(column.name, f"{says}; decide: no trigger sets it, so does the application at each update?")


def created_of(relation: Relation) -> Time | None:
    """Find the column that says when a row was created."""
    named = [each for each in relation.columns if each.base_type in MOMENTS and _is_called(each.name, CREATED)]
    if not named:
        return None
    default = relation.defaults.get(named[0].name)
    return Time(named[0].name, f"its name and its default {default} say so" if default else "its name says so")


def days_of(relation: Relation, updated: Time | None) -> list[Column]:
    """Give the columns that hold a day or a moment of the business, or the row's creation."""
    return [
        column
        for column in relation.columns
        if column.base_type in MOMENTS and (updated is None or column.name != updated.column)
    ]


def likely_references(tables: Sequence[Relation]) -> Mapping[Place, Mapping[str, Place]]:
    """Find columns that seem to name a row of another table, though no foreign key says so.

    Such a column has the name of the other table's one key column, or that of the table with `_id` behind it.
    """
    targets: dict[tuple[str, str], list[Place]] = {}
    for table in tables:
        if len(table.key) == 1:
            names = {plain(table.key[0]), f"{plain(table.name)}_id"} - {"id", "key", "code", "name", "no"}
            for name in names:
                targets.setdefault((name, _type_of(table, table.key[0])), []).append(table.place)
    found: dict[Place, dict[str, Place]] = {}
    for table in tables:
        kept = {name for each in table.references for name in each.columns}
        kept |= set(table.key) if len(table.key) == 1 else set()
        for column in (each for each in table.columns if each.name not in kept):
            others = [each for each in targets.get((plain(column.name), column.log_type), ()) if each != table.place]
            if len(others) == 1:
                found.setdefault(table.place, {})[column.name] = others[0]
    return found


def _type_of(table: Relation, name: str) -> str:
    return next(column.log_type for column in table.columns if column.name == name)


def roles_of(tables: Sequence[Relation]) -> Mapping[Place, Role]:
    """Say for each table whether it becomes a fact or a dimension, by who points at whom."""
    known = {table.place for table in tables}
    likely = likely_references(tables)
    outgoing = {
        table.place: sorted(
            ({each.table for each in table.references} | {*likely.get(table.place, {}).values()})
            & known - {table.place}
        )
        for table in tables
    }
    incoming: dict[Place, list[Place]] = {place: [] for place in known}
    for place, others in outgoing.items():
        for other in others:
            incoming[other].append(place)
    return {
        table.place: _role(table, outgoing[table.place], incoming[table.place], set(likely.get(table.place, {})))
        for table in tables
    }


def _role(table: Relation, outgoing: Sequence[Place], incoming: Sequence[Place], likely: Collection[str]) -> Role:
    created, updated = created_of(table), updated_of(table)
    kept = {time.column for time in (created, updated) if time}
    dates = [each.name for each in days_of(table, updated) if each.name not in kept]
    amounts = [name for name in _amounts(table) if name not in likely]
    points = f"it points at {_listed(outgoing)}" if outgoing else "it points at no table"
    pointed = (
        f"{_listed(incoming)} {'point' if len(incoming) > 1 else 'points'} at it" if incoming else "none points at it"
    )
    has = " and ".join([*(["dates"] if dates else []), *(["amounts"] if amounts else [])])
    holds = f"it has {has} ({', '.join((dates + amounts)[:4])})" if has else "it has neither dates nor amounts"
    reason = f"{points}; {pointed}; {holds}"
    if outgoing and not incoming:
        if has:
            return Role(is_fact=True, reason=reason)
        if len(outgoing) > 1:
            return Role(is_fact=True, reason=f"{reason}: as a fact it keeps which rows belonged together, and when")
    elif outgoing:
        is_event = bool(dates) and len(outgoing) > 1 and len(outgoing) >= len(incoming)
        if is_event or (has and len(outgoing) - len(incoming) >= MANY_MORE):
            return Role(is_fact=True, reason=f"{reason}; decide: a dimension would keep the latest values alone")
    elif dates and amounts and not incoming:
        return Role(is_fact=True, reason=reason)
    # A table of orders may have such a shape, and one of buyers with their birthdays as well.
    is_unsure = not incoming or (outgoing and dates and len(incoming) == 1)
    return Role(is_fact=False, reason=f"{reason}; decide: a fact would keep its history" if is_unsure else reason)


def _amounts(table: Relation) -> list[str]:
    pointing = {name for each in table.references for name in each.columns} | set(table.key)
    return [
        column.name
        for column in table.columns
        if column.name not in pointing
        and (column.base_type in NUMBERS or (column.base_type in WHOLE and AMOUNTS & _words(column.name)))
    ]


def _listed(places: Sequence[Place]) -> str:
    names = [name for _, name in places]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _sets(text: str, column: str) -> bool:
    """Say whether a trigger's function gives the new row's column a value."""
    return re.search(rf'\bnew\s*\.\s*"?{re.escape(column)}"?\s*:?=', text, re.IGNORECASE) is not None


def _is_called(name: str, wanted: set[str]) -> bool:
    words = _words(name)
    return bool(words & wanted) and words <= wanted | BESIDE


def _words(name: str) -> set[str]:
    return {word.lower() for word in WORD.findall(name)}
