"""Carrying over: a model's SELECT, which DuckDB's SQL is, in the SQL of Spark, and what of it Spark reads otherwise.

sqlglot carries a SELECT over. It says nothing where both engines take the same words and mean different things by them;
`meanings.py` knows of which words that is not so. Whoever imports this does so within `needed_for("spark")`.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, UnsupportedError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

from tidemark.lake.meanings import other_meanings, with_decimals

HERE, THERE = "duckdb", "spark"
# DuckDB types by column, for each table that a SELECT reads.
Tables = Mapping[str, Mapping[str, str]]
# What a calendar's SELECT reads.
CALENDAR = {"calendar": {"date_id": "DATE"}}


@dataclass(frozen=True)
class Fault:
    """What of a SELECT does not mean the same in Spark; `line` counts from 1 within the SELECT."""

    line: int
    said: str
    advice: str


def carried_over(select: str, tables: Collection[str]) -> str:
    """Write a SELECT of DuckDB's, which reads nothing but `tables`, in the SQL of Spark.

    DuckDB has seen what the SELECT reads. sqlglot may read it otherwise, so what it read is looked at again.

    Raises:
        ValueError: sqlglot cannot, and `faults_of_carrying` says where; or it finds something else that is read.
    """
    try:
        tree = sqlglot.parse_one(select, read=HERE)
        known = _names(tree, tables)
        for table in tree.find_all(exp.Table):
            is_function = isinstance(table.this, exp.Func)
            if table.args.get("db") or not (is_function or table.name.lower() in known):
                raise ValueError(f"it reads {table.sql(dialect=HERE)}, which is none of its tables")
        return tree.sql(dialect=THERE, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as exc:
        raise ValueError(_first_line(exc)) from exc


def faults_of_carrying(select: str, tables: Tables) -> Iterator[Fault]:
    """Find what sqlglot cannot carry over from DuckDB to Spark, and what is not known to mean the same there.

    Args:
        select: one SELECT of DuckDB's.
        tables: the columns that it reads; what is said of a cast or a quotient depends on them, and where they are
            unknown nothing is said of these.
    """
    try:
        tree = sqlglot.parse_one(select, read=HERE)
    except ParseError as exc:
        place = exc.errors[0] if exc.errors else {}
        said = f"sqlglot cannot read it: {place.get('description') or _first_line(exc)}"
        yield Fault(int(place.get("line") or 1), said, "write it in words that other engines have too")
        return
    for node, why in _unsupported(tree):
        yield Fault(_line(node), f"sqlglot cannot carry it over: {why}", "write it in words that Spark has")
    for call in tree.find_all(exp.Anonymous):
        said = f"calls {call.name.lower()}(), which sqlglot does not know and hands to Spark as it stands"
        yield Fault(_line(call), said, "write it with a function that both engines have")
    known = {**tables, **CALENDAR}
    types_are_known = {each.name.lower() for each in tree.find_all(exp.Table)} <= _names(tree, known)
    for node in _typed(tree, known).walk():
        for said, advice in other_meanings(node, types_are_known=types_are_known):
            yield Fault(_line(node), said, advice)


def one_column(select: str, name: str) -> str | None:
    """Give a SELECT of DuckDB's with one of its columns alone; None where it has no such column of its own."""
    try:
        tree = sqlglot.parse_one(select, read=HERE)
    except ParseError:
        return None
    wanted = [each for each in tree.expressions if each.alias_or_name == name] if isinstance(tree, exp.Select) else []
    if len(wanted) != 1 or tree.args.get("distinct"):
        return None
    tree.set("expressions", wanted)
    return tree.sql(dialect=HERE)


def _names(tree: exp.Expr, tables: Collection[str]) -> set[str]:
    """Name what a SELECT may read: its tables, and its CTEs wherever they stand."""
    return {name.lower() for name in [*tables, *(each.alias for each in tree.find_all(exp.CTE))]}


def _unsupported(tree: exp.Expr) -> Iterator[tuple[exp.Expr, str]]:
    """Give the smallest parts that cannot be written in Spark's SQL, each with sqlglot's words."""
    try:
        tree.sql(dialect=THERE, unsupported_level=ErrorLevel.RAISE)
    except (UnsupportedError, ValueError) as exc:
        within = [found for child in tree.iter_expressions() for found in _unsupported(child)]
        yield from within or [(tree, _first_line(exc))]


def _typed(tree: exp.Expr, tables: Tables) -> exp.Expr:
    """Give the tree with the types of its expressions, as far as they are known."""
    known: dict[str, object] = {
        _quoted(table): {_quoted(name): kind for name, kind in of.items()} for table, of in tables.items()
    }
    try:
        whole = qualify(with_decimals(tree.copy()), dialect=HERE, schema=known, validate_qualify_columns=False)
        return annotate_types(whole, schema=known, dialect=HERE)
    except (SqlglotError, ValueError):
        # DuckDB understands more than sqlglot's qualifier does.
        return tree


def _quoted(name: str) -> str:
    return exp.to_identifier(name, quoted=True).sql(dialect=HERE)


def _line(node: exp.Expr) -> int:
    lines = [int(each.meta["line"]) for each in node.walk() if "line" in each.meta]
    if lines:
        return min(lines)
    return _line(node.parent) if node.parent else 1


def _first_line(exc: Exception) -> str:
    return " ".join(str(exc).strip().partition("\n")[0].split())
