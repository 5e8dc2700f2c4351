"""Passing on: the columns that a SELECT only passes on, so that it can see them as text with all their digits.

A `numeric` may have more digits than DuckDB's widest decimal. A SELECT that computes with such a column, compares it or
puts rows in its order needs a number, and sees one. One that only passes it on sees PostgreSQL's own text.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from tidemark.lake.engine import Engine
from tidemark.lake.sqltext import select, text
from tidemark.log.columns import Column
from tidemark.model import SourceTable, StarTable

TEXT = "text"
# What lets values decide which rows there are, in which order, or under which name a column goes on.
_STRUCTURES = {
    "type": {"DISTINCT_MODIFIER", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "PIVOT", "SHOW_REF"},
    "class": {"SUBQUERY", "POSITIONAL_REFERENCE"},
    "ref_type": {"NATURAL"},
    "aggregate_handling": {"FORCE_AGGREGATES"},
}
_LISTS = ("group_expressions", "aliases", "column_name_alias", "rename_list", "replace_list", "using_columns")


@dataclass(frozen=True)
class _Uses:
    """What a SELECT does with columns: `passed` has pairs of a name and the name under which it goes on."""

    passed: Collection[tuple[str, str]]
    others: Collection[str]
    has_structure: bool


def seen_by(
    engine: Engine, star: StarTable, sources: Mapping[str, SourceTable], columns: Mapping[str, Sequence[Column]]
) -> Mapping[str, Sequence[Column]]:
    """Give the columns of the tables that a star table's SELECT reads, as it sees them.

    Args:
        engine: parses the SELECT.
        star: the star table.
        sources: the model's source tables. Their keys stay numbers, because equal keys may differ in text.
        columns: the columns of the source tables.
    """
    if not any(column.is_beyond_decimal for name in star.reads for column in columns[name]):
        return columns
    uses = _uses_of(str(engine.value(select("star", "tree", text=text(star.sql)))))
    of_keys = {name.lower() for name in star.key_columns}
    return {
        **columns,
        **{
            name: tuple(
                replace(column, type=TEXT)
                if column.is_beyond_decimal
                and column.name not in sources[name].key
                and _is_passed_on(column.name.lower(), uses, of_keys)
                else column
                for column in columns[name]
            )
            for name in star.reads
        },
    }


def _is_passed_on(name: str, uses: _Uses, of_keys: Collection[str]) -> bool:
    names, before = {name}, 0
    while len(names) > before:
        before = len(names)
        names |= {alias for passed, alias in uses.passed if passed in names}
    return not uses.has_structure and names.isdisjoint(uses.others) and names.isdisjoint(of_keys)


@lru_cache(maxsize=64)
def _uses_of(tree: str) -> _Uses:
    passed, others = set[tuple[str, str]](), set[str]()
    has_structure = False
    for node, is_passed in _nodes(json.loads(tree), is_passed=False):
        has_structure |= any(node.get(field) in values for field, values in _STRUCTURES.items())
        has_structure |= any(node.get(field) for field in _LISTS)
        # A function has an empty one.
        has_structure |= node.get("type") == "ORDER_MODIFIER" and bool(node["orders"])
        if node.get("class") == "COLUMN_REF":
            names = [str(each).lower() for each in node["column_names"]]
            if is_passed:
                passed.add((names[-1], str(node["alias"]).lower() or names[-1]))
            else:
                others.update(names)
        elif node.get("class") == "STAR" and not is_passed:
            has_structure = True
    return _Uses(passed, others, has_structure)


def _nodes(tree: object, *, is_passed: bool) -> Iterator[tuple[Mapping[str, Any], bool]]:
    """Give each object within a JSON document, and whether it stands by itself in a list of what a SELECT yields."""
    if isinstance(tree, dict):
        yield tree, is_passed
        for field, each in tree.items():
            for one in each if isinstance(each, list) else [each]:
                yield from _nodes(one, is_passed=field == "select_list")
    elif isinstance(tree, list):
        for one in tree:
            yield from _nodes(one, is_passed=False)
