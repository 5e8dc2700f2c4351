"""What a warehouse has beside the columns of its tables, compared with what the model makes of it.

What somebody added that the model does not speak of is no difference: another view, a right, a comment.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidemark.errors import ConfigError
from tidemark.postgres.queries import quoted
from tidemark.warehouse.catalog import Catalog, Definition, Right, Rights
from tidemark.warehouse.model_objects import Wanted


@dataclass(frozen=True)
class Differences:
    """What is to be done, by name.

    `indexes` are to be made by their statements, and those that cannot have that name by their `unnamed` statements.
    `again` are views and functions to be made or replaced; those in `dropped` cannot be replaced and go first. What is
    in `undescribed` lacks only a comment or a right. `drops` and `restored` are statements: what goes first, and what
    gives others their rights on functions that were dropped.
    """

    indexes: frozenset[str]
    unnamed: Mapping[str, str]
    again: frozenset[str]
    dropped: frozenset[str]
    undescribed: frozenset[str]
    drops: Sequence[str]
    restored: Sequence[str]


def compared(
    present: Catalog,
    rights: Rights,
    wanted: Wanted,
    views: Sequence[str],
    named: Collection[str],
    *,
    drops_views: bool,
) -> Differences:
    """Compare a warehouse with the model.

    Args:
        present: what the warehouse holds.
        rights: who may do what in it.
        wanted: what the model makes, its views and functions over the tables as they stand in the warehouse.
        views: the model's views in the order in which they are made.
        named: the names that the model's statements give to indexes.
        drops_views: whether all of them have to go for a while, because a column of theirs changes its type.

    Raises:
        ConfigError: something else has the name of a view, or a materialised view would have to be filled again.
    """
    there, definitions = present.definitions, wanted.catalog.definitions
    other = {name for name, each in definitions.items() if name in there and there[name] != each}
    _require_replaceable(present, definitions, other)
    fixed = {name for name in other if not there[name].can_become(definitions[name])}
    places = {name: views.index(each.name) for name, each in definitions.items() if each.name in views}
    # A view may use those that are made before it.
    first = -1 if drops_views else min((places[name] for name in fixed if name in places), default=len(views))
    dropped = fixed | {name for name, place in places.items() if name in there and place > first}
    again = frozenset(definitions[name].name for name in dropped | other | (definitions.keys() - there.keys()))
    indexes = {name: text for name, text in wanted.catalog.indexes.items() if text not in present.indexes.values()}
    # A table that was renamed keeps the names of its indexes.
    taken = {name for name, text in indexes.items() if _table(present.indexes.get(name) or text) != _table(text)}
    in_order = sorted(dropped, key=lambda name: places.get(name, len(views)), reverse=True)
    return Differences(
        frozenset(indexes.keys() - taken),
        {name: text for name, text in indexes.items() if name in taken or name not in named},
        again,
        frozenset(there[name].name for name in dropped),
        frozenset(_undescribed(present, rights, wanted)),
        [
            *(f"drop {there[name].kind} {name}" for name in in_order),
            *(f"drop index {quoted(name)}" for name in indexes.keys() & present.indexes.keys() - taken),
        ],
        [
            statement
            for name in sorted(dropped)
            if there[name].kind != "view"
            for statement in _rights_again(rights, name)
        ],
    )


def _require_replaceable(present: Catalog, definitions: Mapping[str, Definition], other: set[str]) -> None:
    problems, drops = [], []
    for signature, each in definitions.items():
        if each.name not in present.relations or each.kind not in ("view", "materialized view"):
            continue
        found = present.definitions.get(signature)
        kind = found.kind if found else "table"
        if kind != each.kind or (kind == "materialized view" and signature in other):
            problems.append(f"the {kind} {signature} is not the {each.kind} that the model makes")
            drops.append(f"drop {kind} {signature};")
    if problems:
        advice = f"if nobody needs it as it is: {' '.join(drops)} then run tidemark init"
        raise ConfigError.of(problems, advice=advice)


def _undescribed(present: Catalog, rights: Rights, wanted: Wanted) -> Iterator[str]:
    for place, (name, text) in wanted.catalog.comments.items():
        if present.comments.get(place) != (name, text):
            yield name
    for right in (wanted.granted - rights.everything) | (wanted.revoked & rights.everything):
        yield f"schema {right.name}" if right.kind == "schema" else right.name


def _rights_again(rights: Rights, signature: str) -> Iterator[str]:
    """Write the statements that give others back their rights on a function that is dropped and made again."""
    found = {each for each in rights.everything if each.signature == signature and each.kind != "schema"}
    everybody = {each for each in found if each.kind == "function" and each.grantee == "public"}
    for right in sorted(found - rights.owned - everybody, key=_in_words):
        if right.is_grantable or right._replace(is_grantable=True) not in found:
            yield right.statement()
    if not everybody:
        yield f"revoke execute on function {signature} from public"


def _in_words(right: Right) -> tuple[str, ...]:
    return tuple(map(str, right))


def _table(index: str) -> str:
    return index.partition(" ON ")[2].partition(" USING ")[0]
