"""A model's SELECT: what it may read, and the columns that it yields.

DuckDB parses the SELECT and gives its tree, so nothing here parses SQL. The engine could not reach a file anyway; the
tree lets the error name the function or the table before anything runs, and shows that it is one SELECT.
"""

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from tidemark.errors import ConfigError
from tidemark.lake.engine import Engine
from tidemark.lake.spark_rows import require_same_meaning
from tidemark.lake.sqltext import Select, select, text
from tidemark.log.columns import Column
from tidemark.model import Model, StarTable

# What makes rows of nothing but its arguments.
TABLE_FUNCTIONS = ("generate_series", "json_each", "json_tree", "range", "repeat", "repeat_row", "unnest")
# What tells of the machine or of the engine, or writes to them.
OUTSIDE = {"current_setting", "getenv", "getvariable", "write_log"}
ADVICE = "mend the model: a SELECT depends on nothing but its tables and seeds"


def yielded_by(engine: Engine, model: Model, star: StarTable) -> Mapping[str, str]:
    """Give the columns of a star table's SELECT with their DuckDB types.

    Every SELECT passes here before it runs.

    Raises:
        ConfigError: the SELECT reaches for something else than its tables and seeds, or names two columns alike.
    """
    faults = faults_of_reach(engine, model, star)
    if faults:
        raise ConfigError.of([f"{star.path}.sql {fault}" for fault in faults], advice=ADVICE)
    try:
        return engine.describe(Select(star.sql))
    except ConfigError as exc:
        raise ConfigError(f"{star.path}.sql: {exc.message}", advice=exc.advice, table=star.name) from exc


def tree_of(engine: Engine, star: StarTable) -> Mapping[str, Any]:
    """Give the tree of a star table's SELECT, or the error that DuckDB's parser gives, with its place in bytes."""
    tree: Mapping[str, Any] = json.loads(str(engine.value(select("star", "tree", text=text(star.sql)))))
    return tree


def may_read(star: StarTable, seeds: Iterable[str]) -> list[str]:
    """Name what a star table's SELECT may read: its source tables, the model's seeds, and a calendar's days."""
    return [*star.reads, *seeds, *([star.kind] if star.kind == "calendar" else [])]


def require_same_on_spark(star: StarTable, seen: Mapping[str, Sequence[Column]]) -> None:
    """Raise ConfigError if a star table's SELECT is not known to mean the same on Spark.

    Args:
        star: the star table.
        seen: the columns of the tables that it reads, as its SELECT sees them.
    """
    types = {name: {column.name: column.typed for column in columns} for name, columns in seen.items()}
    require_same_meaning(star.sql, types, star.name)


def faults_of_reach(engine: Engine, model: Model, star: StarTable) -> list[str]:
    """Say what a star table's SELECT may not do and does."""
    tree = tree_of(engine, star)
    if tree["error"] and tree["error_type"] == "parser":
        return [f"is no SQL: {tree['error_message']}"]
    if tree["error"] or len(tree["statements"]) != 1:
        return ["is not one SELECT: expected no other statement, and a PIVOT that names its values (in …)"]
    nodes = list(_nodes(tree))
    return list(dict.fromkeys(_faults(nodes, may_read(star, model.seeds))))


def _faults(nodes: Collection[Mapping[str, Any]], readable: Collection[str]) -> Iterator[str]:
    known = {name.lower() for name in [*readable, *map(str, _names_within(nodes))]}
    for node in nodes:
        kind = node.get("type")
        if kind == "TABLE_FUNCTION":
            name = node["function"]["function_name"]
            if name.lower() not in TABLE_FUNCTIONS:
                yield f"calls {name}() in FROM, where only these are allowed: {', '.join(TABLE_FUNCTIONS)}"
        elif kind == "FUNCTION" and str(node.get("function_name")).lower() in OUTSIDE:
            yield f"calls {node['function_name']}(), which reaches outside of its tables"
        elif kind == "BASE_TABLE" and str(node["table_name"]).lower() not in known:
            yield f"reads {node['table_name']!r}, and it may read only its own tables and seeds: {', '.join(readable)}"
        elif kind == "SHOW_REF":
            yield "asks by SHOW, DESCRIBE or SUMMARIZE what the engine has"


def _names_within(nodes: Collection[Mapping[str, Any]]) -> Iterator[object]:
    """Give the names of the CTEs, wherever in the SELECT they stand."""
    for node in nodes:
        yield node.get("cte_name", "")
        yield from (each["key"] for each in node.get("cte_map", {}).get("map", ()))


def _nodes(tree: object) -> Iterator[Mapping[str, Any]]:
    """Give each object within a JSON document."""
    left = [tree]
    while left:
        each = left.pop()
        if isinstance(each, dict):
            yield each
            left.extend(reversed(each.values()))
        elif isinstance(each, list):
            left.extend(reversed(each))
