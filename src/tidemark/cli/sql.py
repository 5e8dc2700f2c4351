"""The command `sql`: ask the warehouse or the lake by hand."""

import itertools
import re
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import Invocation, invocation
from tidemark.cli.output import UNLIMITED, out, print_json, shown_count
from tidemark.cli.progress import waiting
from tidemark.disclosure import visible
from tidemark.errors import ConfigError

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from tidemark.answers import Answer, AnswerColumn, Row

SHOWN_ROWS = 1_000
FROM_STDIN = "-"
# What a field of CSV that holds any of these is quoted for; some readers drop blanks at its ends.
QUOTED = re.compile(r'[,"\r\n]|^\s|\s$')


def sql(
    ctx: typer.Context,
    statement: Annotated[
        str, typer.Argument(metavar="STATEMENT", help="One statement that gives rows, such as a select; - reads stdin.")
    ],
    *,
    lake: Annotated[
        bool,
        typer.Option("--lake", help="Ask the lake in DuckDB's SQL: the star's tables, and latest's as latest.NAME."),
    ] = False,
    as_csv: Annotated[
        bool,
        typer.Option(
            "--csv", help='Print all rows as CSV in UTF-8, as they come; null is nothing, an empty text is "".'
        ),
    ] = False,
) -> None:
    """Run one query that only reads, on the warehouse or with --lake on the lake, and print what it gives.

    The table shows the first 1,000 rows. In it, null is a hyphen.

    Example: `tidemark sql "select currency_code, currency_name from dim_currency" --csv`
    """
    called = invocation(ctx)
    if as_csv and called.as_json:
        raise ConfigError("--csv and --json are both given", advice="choose one of them")
    text = sys.stdin.buffer.read().decode(errors="surrogateescape") if statement == FROM_STDIN else statement
    with _asked(called, text, lake=lake) as answer:
        if called.as_json:
            print_json(_document(answer))
        elif as_csv:
            _print_csv(answer)
        else:
            _show(answer)


def _asked(called: Invocation, statement: str, *, lake: bool) -> "AbstractContextManager[Answer]":
    pipeline = called.pipeline()
    if lake:
        from tidemark.star.asking import ask_lake  # noqa: PLC0415 -- a question to the warehouse does without DuckDB

        return ask_lake(pipeline.model, pipeline.ingestion, pipeline.processed, statement)
    from tidemark.warehouse.asking import ask_warehouse  # noqa: PLC0415 -- `--help` does without psycopg

    pipeline.require("warehouse")
    return ask_warehouse(pipeline.warehouse_url, statement)


def _document(answer: "Answer") -> dict[str, object]:
    names = [column.name for column in answer.columns]
    twice = [name for name, count in Counter(names).items() if count > 1]
    if twice:
        message = f"two columns are called {', '.join(twice)}, which a JSON object cannot have"
        raise ConfigError(message, advice="give one of them another name, with `as`")
    with waiting("reading the rows"):
        rows = [dict(zip(names, map(_json_value, answer.columns, row), strict=True)) for row in answer.rows]
    return {"columns": [{"name": each.name, "type": each.type} for each in answer.columns], "rows": rows}


def _json_value(column: "AnswerColumn", value: str | None) -> object:
    """Write integers and booleans as such and every other value as text, as the change log does."""
    if value is None:
        return None
    if column.is_boolean:
        return value in {"t", "true"}
    return int(value) if column.is_integer else value


def _show(answer: "Answer") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    from tidemark.cli.grid import shown  # noqa: PLC0415 -- as above

    with waiting("reading the rows"):
        found = list(itertools.islice(answer.rows, SHOWN_ROWS + 1))
    names = [shown(column.name) for column in answer.columns]
    rows = [list(map(shown, row)) for row in found[:SHOWN_ROWS]]
    numbers = {at for at, column in enumerate(answer.columns) if column.is_number}
    for line, is_title in _lines(names, rows, numbers):
        out().print(Text(line, style="bold" if is_title else ""), soft_wrap=True)
    counted = f"{shown_count(len(rows))} {'row' if len(rows) == 1 else 'rows'}"
    if len(found) > SHOWN_ROWS:
        counted = f"the first {counted}; --csv gives all of them"
    out().print(Text(f"({counted})", style="dim"), soft_wrap=True)


def _lines(names: Sequence[str], rows: Sequence[Sequence[str]], numbers: set[int]) -> Iterator[tuple[str, bool]]:
    """Lay the rows out, and say of each line whether it is a title: side by side, if all columns fit."""
    from tidemark.cli import grid  # noqa: PLC0415 -- as above

    natural = grid.natural_widths([names, *rows])
    widths = natural if out().width >= UNLIMITED else grid.fitted_widths(natural, out().width)
    if widths is not None:
        is_title = True
        for line in grid.side_by_side([names, *rows], widths, numbers):
            is_title = is_title and not line.startswith(grid.RULE)
            yield line, is_title
        return
    for at, row in enumerate(rows, 1):
        yield f"row {shown_count(at)}", True
        for line in grid.one_below_the_other(names, row, out().width):
            yield line, False


def _print_csv(answer: "Answer") -> None:
    """Write each value as it is, but to a terminal, which would obey control characters."""
    sys.stdout.flush()
    prepared = visible if sys.stdout.isatty() else str
    for row in itertools.chain([tuple(column.name for column in answer.columns)], answer.rows):
        sys.stdout.buffer.write(prepared(csv_line(row)).encode("utf-8", "surrogateescape"))
    sys.stdout.flush()


def csv_line(row: "Row") -> str:
    """Write a row as a line of CSV (RFC 4180) that tells null, which is nothing, from an empty text."""
    return ",".join("" if value is None else _quoted(value) for value in row) + "\n"


def _quoted(value: str) -> str:
    if value and not QUOTED.search(value):
        return value
    return '"' + value.replace('"', '""') + '"'
