"""Meanings: which words of SQL mean the same to DuckDB and to Spark, once sqlglot has carried them over.

No list of differences is ever complete, so this is a list of what is alike: a word that is not on it is refused. The
tests run each word of the list, and each trap beside it, over the edge rows of every type on DuckDB, Sail and Spark.
"""

import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

from sqlglot import exp

Type = exp.DataType.Type
WHOLE = exp.DataType.INTEGER_TYPES
TEXT = exp.DataType.TEXT_TYPES
FLOATING = {Type.FLOAT, Type.DOUBLE}
TIMES = {Type.TIME, Type.TIMETZ}
# What a text is read as in many forms, of which each engine has others.
READ_FROM_TEXT = {*exp.DataType.TEMPORAL_TYPES, Type.BOOLEAN, *FLOATING}
NUMBERS = {*WHOLE, *FLOATING, Type.DECIMAL, Type.NULL}
JOINED = {*WHOLE, Type.DATE, Type.NULL}
PARTS = {"YEAR", "QUARTER", "MONTH", "DAY", "HOUR", "MINUTE"}
# A date, or a moment to the second or finer, as both engines read it.
ISO = re.compile(r"\d{4}-\d{2}-\d{2}([ T]\d{2}:\d{2}:\d{2}(\.\d{1,6})?)?")
# What of a format both write alike.
FORMAT = re.compile(r"(%[YmdHMSAB]|[^%a-zA-Z'\[\]])*")
# A backslash stands for other characters in each engine's patterns, and Spark knows no classes in brackets.
PATTERN = re.compile(r"(?:(?!\\|\[\[|\[:).)*", re.DOTALL)

ALIKE: tuple[type[exp.Expr], ...] = (
    *(exp.And, exp.Or, exp.Not, exp.Paren, exp.Exists, exp.In, exp.Between, exp.Is, exp.Case, exp.If),
    *(exp.EQ, exp.NEQ, exp.LT, exp.LTE, exp.GT, exp.GTE, exp.NullSafeEQ, exp.NullSafeNEQ),
    *(exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg, exp.Abs, exp.Round, exp.Floor, exp.Ceil),
    *(exp.Coalesce, exp.Nullif, exp.Greatest, exp.Least, exp.Cast, exp.TryCast, exp.AtTimeZone),
    *(exp.DPipe, exp.Like, exp.Length, exp.Left, exp.Right, exp.Pad, exp.Replace, exp.StartsWith, exp.Substring),
    *(exp.RegexpReplace, exp.TimeToStr, exp.Extract, exp.Year, exp.Month, exp.Day, exp.DateDiff),
    *(exp.Sum, exp.Count, exp.Min, exp.Max, exp.Avg),
    *(exp.RowNumber, exp.Rank, exp.DenseRank, exp.Lag, exp.Lead),
)
# Beside calls and operators, what of a SELECT is a word with a meaning of its own.
_WORDS = (exp.Func, exp.Binary, exp.Unary, exp.Predicate, exp.Bracket, exp.Interval, exp.TableSample)


@dataclass(frozen=True)
class Trap:
    """Words that both engines take and that mean different things; the tests run each on both."""

    is_it: Callable[[exp.Expr], bool]
    said: str
    advice: str


def other_meanings(node: exp.Expr, *, types_are_known: bool) -> Iterator[tuple[str, str]]:
    """Say of one node of a SELECT in what it does not mean the same on Spark, and what to write instead.

    Args:
        node: the node, with the type of what it yields.
        types_are_known: the columns that the SELECT reads are known, so that a type that is not is a doubt.
    """
    found = [trap for trap in (TRAPS + DOUBTS if types_are_known else TRAPS) if trap.is_it(node)]
    yield from ((trap.said, trap.advice) for trap in found)
    if not found and isinstance(node, _WORDS) and not isinstance(node, (*ALIKE, exp.Anonymous)):
        said = f"has {_shown(node)}, of which it is not known that it means the same on Spark"
        yield said, f"write it with what is known to: {known_words()}"


def known_words() -> str:
    """Name the functions that mean the same, beside the operators."""
    named = (each for each in ALIKE if issubclass(each, exp.Func) and not issubclass(each, (exp.Connector, exp.Case)))
    return ", ".join(sorted({_NAMES.get(each, each.sql_names()[0]).lower() for each in named} - {"if", "exists"}))


def with_decimals(tree: exp.Expr) -> exp.Expr:
    """Give numbers with a point the type that DuckDB has for them; sqlglot takes them for floating-point numbers."""

    def typed(node: exp.Expr) -> exp.Expr:
        if isinstance(node, exp.Literal) and not node.is_string and "." in node.this and "e" not in node.this.lower():
            return exp.cast(node.copy(), Type.DECIMAL)
        return node

    return tree.transform(typed, copy=False)


_NAMES: dict[type[exp.Expr], str] = {
    exp.DateDiff: "date_diff",
    exp.Pad: "rpad",
    exp.TimeToStr: "strftime",
}


def _shown(node: exp.Expr) -> str:
    if isinstance(node, exp.Func) and not isinstance(node, exp.Binary):
        return f"{node.sql_name().lower()}()"
    text = node.sql(dialect="duckdb")
    return text if len(text) <= 60 else f"{text[:60]}…"  # noqa: PLR2004 -- as much as shows which it is


def _of(node: exp.Expr, *kinds: object) -> bool:
    return node.type is not None and node.type.this in kinds


def _is_unknown(node: exp.Expr) -> bool:
    return node.type is None or node.type.this in (Type.UNKNOWN, Type.USERDEFINED)


def _becomes(node: exp.Expr, kinds: Collection[object]) -> bool:
    return isinstance(node, exp.Cast) and node.to.this in kinds


def _text(node: exp.Expr | None) -> str | None:
    """Give the text of a literal, None if it is another thing."""
    return str(node.this) if isinstance(node, exp.Literal) and node.is_string else None


def _number(node: exp.Expr | None) -> int | None:
    """Give the whole number of a literal, None if it is another thing or negative."""
    is_number = isinstance(node, exp.Literal) and not node.is_string and str(node.this).isdecimal()
    return int(node.this) if is_number and node else None


def _is_whole(node: exp.Expr) -> bool:
    node = node.unnest()
    if isinstance(node, exp.Round):
        return not node.args.get("decimals") or _number(node.args["decimals"]) == 0
    return isinstance(node, (exp.Floor, exp.Ceil, exp.Extract, exp.DateDiff, exp.Length, exp.Count)) or _of(
        node, *WHOLE
    )


def _is_text(node: exp.Expr) -> bool:
    node = node.unnest()
    makes_text = (exp.Left, exp.Right, exp.Pad, exp.Substring, exp.Replace, exp.RegexpReplace, exp.TimeToStr, exp.DPipe)
    return isinstance(node, makes_text) or _of(node, *TEXT)


def _is_number(node: exp.Expr) -> bool:
    node = node.unnest()
    makes_number = (exp.Round, exp.Abs, exp.Sum, exp.Avg, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod, exp.Neg)
    return isinstance(node, makes_number) or _is_whole(node) or _of(node, *NUMBERS)


def _is_known(node: exp.Expr) -> bool:
    return _is_whole(node) or _is_text(node) or isinstance(node.unnest(), exp.AtTimeZone)


def _is_decimal(node: exp.Expr) -> bool:
    node = node.unnest()
    # sqlglot takes every rounded number for a floating-point one.
    return _is_decimal(node.this) if isinstance(node, exp.Round) else _of(node, Type.DECIMAL)


def _may_divide_by_zero(node: exp.Expr) -> bool:
    if not isinstance(node, exp.Div):
        return False
    by = node.expression.unnest()
    while isinstance(by, exp.Cast):
        by = by.this.unnest()
    is_number = isinstance(by, exp.Literal) and not by.is_string and float(by.this) != 0
    return not is_number and not isinstance(by, exp.Nullif)


def _is_iso(node: exp.Expr) -> bool:
    return ISO.fullmatch(_text(node) or "") is not None


def _counts_characters_otherwise(node: exp.Expr) -> bool:
    if isinstance(node, exp.Substring):
        start, length = node.args.get("start"), node.args.get("length")
        return not _number(start) or (length is not None and _number(length) is None)
    return isinstance(node, (exp.Left, exp.Right)) and _number(node.expression) is None


def _replaces_otherwise(node: exp.Expr) -> bool:
    if not isinstance(node, exp.RegexpReplace):
        return False
    pattern, new = _text(node.expression), _text(node.args.get("replacement"))
    return pattern is None or new is None or not PATTERN.fullmatch(pattern) or bool({"\\", "$"} & set(new))


def _operands(node: exp.Expr) -> list[exp.Expr]:
    return [node.left, node.right] if isinstance(node, exp.Binary) else []


# What is another thing to each engine.
TRAPS = (
    Trap(
        lambda node: _becomes(node, WHOLE) and _of(node.this, Type.DECIMAL, *FLOATING) and not _is_whole(node.this),
        "casts a number with decimals to a whole one: DuckDB rounds it, and Spark cuts its decimals off",
        "cast what round(…) gives",
    ),
    Trap(
        lambda node: _becomes(node, WHOLE) and _is_text(node.this),
        "casts text to a whole number: of a text such as 1.5 DuckDB makes 2, and Spark makes none",
        "cast it to a decimal first, and cast what round(…) gives",
    ),
    Trap(
        lambda node: _becomes(node, READ_FROM_TEXT) and _is_text(node.this) and not _is_iso(node.this),
        "casts text to a date, a time, a boolean or a floating-point number: each engine reads some forms of its own",
        "keep it as text: the star table's column takes it, and sets aside what is none",
    ),
    Trap(
        lambda node: _becomes(node, TEXT) and _of(node.this, Type.TIMESTAMPTZ),
        "casts a timestamp with time zone to text: DuckDB writes the offset, and Spark writes none",
        "cast it at time zone 'UTC' to text",
    ),
    Trap(
        lambda node: _becomes(node, TEXT) and _of(node.this, *FLOATING),
        "casts a floating-point number to text, which each engine writes in its own way",
        "keep it a number",
    ),
    Trap(
        lambda node: isinstance(node, exp.Div) and any(map(_is_decimal, _operands(node))),
        "divides decimals: DuckDB gives a floating-point number, and Spark a decimal, which is rounded",
        "cast both to double",
    ),
    Trap(
        lambda node: isinstance(node, exp.Avg) and _is_decimal(node.this),
        "averages decimals: DuckDB gives a floating-point number, and Spark a decimal, which is rounded",
        "divide cast(sum(…) as double) by nullif(count(…), 0)",
    ),
    Trap(
        _may_divide_by_zero,
        "divides by what may be zero: Spark stops at a zero, and DuckDB does not",
        "divide by nullif(…, 0)",
    ),
    Trap(
        lambda node: isinstance(node, exp.RegexpReplace) and node.text("modifiers") != "g",
        "calls regexp_replace() with other flags than 'g': without it DuckDB replaces the first match, and Spark each",
        "add 'g' if each match is meant",
    ),
    Trap(
        _replaces_otherwise,
        "calls regexp_replace() with a backslash, a class in brackets or a $: each engine reads them in its own way",
        "name the characters of the pattern one by one, such as [0-9]",
    ),
    Trap(
        lambda node: isinstance(node, exp.Like) and "\\" in (_text(node.expression) or "\\"),
        "has a LIKE whose pattern has a backslash or is no text in quotes: only Spark takes a backslash for an escape",
        "compare with replace(…) or starts_with(…)",
    ),
    Trap(
        _counts_characters_otherwise,
        "takes a part of a text from a place or of a length that is no number above zero: each counts in its own way",
        "write the place as a number from 1, and the length as a number",
    ),
    Trap(
        lambda node: isinstance(node, exp.Extract) and node.name.upper() not in PARTS,
        "extracts a part of a time that each engine counts in its own way",
        f"extract one of {', '.join(sorted(PARTS)).lower()}, or count days by date_diff('day', …)",
    ),
    Trap(
        lambda node: isinstance(node, exp.DateDiff) and node.text("unit").upper() not in ("", "DAY"),
        "counts something else than days between two dates: DuckDB counts the borders in between, and Spark whole ones",
        "count days, or compute with what extract(…) gives",
    ),
    Trap(
        lambda node: isinstance(node, exp.TimeToStr) and not FORMAT.fullmatch(_text(node.args.get("format")) or "x"),
        "writes a time in a form that Spark has not or writes otherwise",
        "use %Y, %m, %d, %H, %M, %S, %A, %B and what is no letter",
    ),
    Trap(
        lambda node: isinstance(node, exp.Round) and "decimals" in node.args and _of(node.this, *FLOATING),
        "rounds a floating-point number to decimals: Spark rounds the digits that it shows, and DuckDB the number",
        "cast it to a decimal, which rounds it",
    ),
    Trap(
        lambda node: isinstance(node, (exp.Floor, exp.Ceil, exp.Min, exp.Max)) and _of(node.this, *FLOATING),
        "asks for floor, ceiling, least or greatest of floating-point numbers, which each engine has otherwise for NaN",
        "cast them to a decimal",
    ),
    Trap(
        lambda node: isinstance(node, exp.Sum) and _of(node.this, Type.BIGINT),
        "sums up bigints: DuckDB's sum has room for each, and that of Sail begins anew beyond a bigint",
        "sum up cast(… as decimal(38, 0))",
    ),
    Trap(
        lambda node: isinstance(node, exp.DayOfWeek),
        "calls dayofweek(): Sunday is 0 for DuckDB, and 1 for Spark",
        "count the days from a Monday: date_diff('day', cast('0001-01-01' as date), …) % 7",
    ),
    Trap(
        lambda node: isinstance(node, (exp.Dayname, exp.Monthname)),
        "calls dayname() or monthname(): DuckDB writes the name, and Spark three letters of it",
        "call strftime(…, '%A') or strftime(…, '%B')",
    ),
    Trap(
        lambda node: isinstance(node, exp.DataType) and node.this in TIMES,
        "has a time of day, for which Spark has no type: it becomes a timestamp of today",
        "keep it as text",
    ),
)
# What may be another thing, by the type of what it is about.
DOUBTS = (
    Trap(
        lambda node: (
            (_becomes(node, {*WHOLE, *TEXT, *READ_FROM_TEXT}) and _is_unknown(node.this) and not _is_known(node.this))
            or (isinstance(node, (exp.Div, exp.Avg)) and any(map(_is_unknown, _operands(node) or [node.this])))
        ),
        "casts or divides what has no known type, so nobody can say whether Spark rounds it or writes it alike",
        "cast it to what it is first: cast(… as decimal(38, 18)), or cast(… as varchar)",
    ),
    Trap(
        lambda node: (
            isinstance(node, exp.DPipe) and not all(_is_text(each) or _of(each, *JOINED) for each in _operands(node))
        ),
        "joins a text with what is none: each engine writes times and numbers with decimals in its own way",
        "cast it to varchar first",
    ),
    Trap(
        lambda node: (
            isinstance(node, (exp.Add, exp.Sub, exp.Mul, exp.Mod, exp.Neg))
            and not all(map(_is_number, _operands(node) or [node.this]))
        ),
        "computes with what is no number: days and times are added and subtracted in each engine's own way",
        "count days by date_diff('day', …), or cast it to a number",
    ),
    Trap(
        lambda node: (
            isinstance(node, exp.DateDiff) and not (_of(node.this, Type.DATE) and _of(node.expression, Type.DATE))
        ),
        "counts the days between what is no date: DuckDB counts midnights, and Spark whole days",
        "cast both to date",
    ),
)
