"""Carrying over: a model's SELECT, which DuckDB's SQL is, in the SQL of Spark, and what of it Spark reads otherwise.

sqlglot carries a SELECT over. It says nothing where both engines take the same words and mean different things by them,
so those words are looked for here. Whoever imports this does so within `needed_for("spark")`.
"""

from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass

import sqlglot
from sqlglot import exp
from sqlglot.errors import ErrorLevel, ParseError, SqlglotError, UnsupportedError
from sqlglot.optimizer.annotate_types import annotate_types
from sqlglot.optimizer.qualify import qualify

HERE, THERE = "duckdb", "spark"
# DuckDB types by column, for each table that a SELECT reads.
Tables = Mapping[str, Mapping[str, str]]
WHOLE = exp.DataType.INTEGER_TYPES
FLOATING = {exp.DataType.Type.FLOAT, exp.DataType.Type.DOUBLE}
TIMES = {exp.DataType.Type.TIME, exp.DataType.Type.TIMETZ}


@dataclass(frozen=True)
class Fault:
    """What of a SELECT does not mean the same in Spark; `line` counts from 1 within the SELECT."""

    line: int
    said: str
    advice: str


@dataclass(frozen=True)
class _Trap:
    """Words that both engines take and that mean different things; the tests run each on both."""

    is_it: Callable[[exp.Expr], bool]
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
        known = {name.lower() for name in [*tables, *(each.alias for each in tree.find_all(exp.CTE))]}
        for table in tree.find_all(exp.Table):
            is_function = isinstance(table.this, exp.Func)
            if table.args.get("db") or not (is_function or table.name.lower() in known):
                raise ValueError(f"it reads {table.sql(dialect=HERE)}, which is none of its tables")
        return tree.sql(dialect=THERE, unsupported_level=ErrorLevel.RAISE)
    except SqlglotError as exc:
        raise ValueError(_first_line(exc)) from exc


def faults_of_carrying(select: str, tables: Tables) -> Iterator[Fault]:
    """Find what sqlglot cannot carry over from DuckDB to Spark, and what it carries over with another meaning.

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
    for node in _typed(tree, tables).walk():
        for trap in TRAPS:
            if trap.is_it(node):
                yield Fault(_line(node), trap.said, trap.advice)


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
        whole = qualify(tree.copy(), dialect=HERE, schema=known, validate_qualify_columns=False)
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


def _of(node: exp.Expr, *kinds: object) -> bool:
    return node.type is not None and node.type.this in kinds


def _becomes(node: exp.Expr, kinds: Collection[object]) -> bool:
    return isinstance(node, exp.Cast) and node.to.this in kinds


def _is_whole(node: exp.Expr) -> bool:
    return isinstance(node.unnest(), (exp.Round, exp.Floor, exp.Ceil, exp.Trunc))


def _is_decimal(node: exp.Expr) -> bool:
    return _of(node, exp.DataType.Type.DECIMAL)


def _may_divide_by_zero(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Div):
        return False
    by = node.expression.unnest()
    by = by.this.unnest() if isinstance(by, exp.Cast) else by
    is_number = isinstance(by, exp.Literal) and not by.is_string and float(by.this) != 0
    return not is_number and not isinstance(by, exp.Nullif)


TRAPS = (
    _Trap(
        lambda node: (
            _becomes(node, WHOLE) and _of(node.this, exp.DataType.Type.DECIMAL, *FLOATING) and not _is_whole(node.this)
        ),
        "casts a number with decimals to a whole one: DuckDB rounds it, and Spark cuts its decimals off",
        "cast what round(…) gives",
    ),
    _Trap(
        lambda node: _becomes(node, WHOLE) and _of(node.this, *exp.DataType.TEXT_TYPES),
        "casts text to a whole number: of a text such as 1.5 DuckDB makes 2, and Spark makes none",
        "cast it to a decimal first, and cast what round(…) gives",
    ),
    _Trap(
        lambda node: _becomes(node, exp.DataType.TEXT_TYPES) and _of(node.this, exp.DataType.Type.TIMESTAMPTZ),
        "casts a timestamp with time zone to text: DuckDB writes the offset, and Spark writes none",
        "cast it at time zone 'UTC' to text",
    ),
    _Trap(
        lambda node: _becomes(node, exp.DataType.TEXT_TYPES) and _of(node.this, *FLOATING),
        "casts a floating-point number to text, which each engine writes in its own way",
        "keep it a number",
    ),
    _Trap(
        lambda node: isinstance(node, exp.Div) and (_is_decimal(node.this) or _is_decimal(node.expression)),
        "divides decimals: DuckDB gives a floating-point number, and Spark a decimal, which is rounded",
        "cast both to double",
    ),
    _Trap(
        lambda node: isinstance(node, exp.Avg) and _is_decimal(node.this),
        "averages decimals: DuckDB gives a floating-point number, and Spark a decimal, which is rounded",
        "divide cast(sum(…) as double) by nullif(count(…), 0)",
    ),
    _Trap(
        _may_divide_by_zero,
        "divides by what may be zero: Spark stops at a zero, and DuckDB does not",
        "divide by nullif(…, 0)",
    ),
    _Trap(
        lambda node: isinstance(node, exp.RegexpReplace) and "g" not in node.text("modifiers"),
        "calls regexp_replace() without 'g': DuckDB replaces the first match, and Spark each of them",
        "add 'g' if each match is meant",
    ),
    _Trap(
        lambda node: isinstance(node, exp.DayOfWeek),
        "calls dayofweek(): Sunday is 0 for DuckDB, and 1 for Spark",
        "count the days from a Monday: date_diff('day', cast('0001-01-01' as date), …) % 7",
    ),
    _Trap(
        lambda node: isinstance(node, (exp.Dayname, exp.Monthname)),
        "calls dayname() or monthname(): DuckDB writes the name, and Spark three letters of it",
        "call strftime(…, '%A') or strftime(…, '%B')",
    ),
    _Trap(
        lambda node: isinstance(node, exp.DataType) and node.this in TIMES,
        "has a time of day, for which Spark has no type: it becomes a timestamp of today",
        "keep it as text",
    ),
)
