"""The command `quarantine`: list the rows that the star cannot take, say how to mend them, and take them up again."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import new_table, out, print_json, shown_count
from tidemark.cli.progress import waiting
from tidemark.errors import ConfigError

if TYPE_CHECKING:
    from tidemark.pipeline import Pipeline
    from tidemark.replay import Replayed
    from tidemark.star.quarantine_report import Heap, SetAside

SHOWN_ROWS = 20
SHOWN_CHARACTERS = 200


def quarantine(
    ctx: typer.Context,
    action: Annotated[
        Literal["list", "show", "replay"],
        typer.Argument(help="list counts the rows, show prints them, replay takes them up again."),
    ],
    table: Annotated[str | None, typer.Argument(metavar="TABLE", help="A star table. Default: all.")] = None,
    *,
    batch: Annotated[int | None, typer.Option(min=1, help="show: the rows that this batch has set aside.")] = None,
    ordinal: Annotated[
        list[int] | None, typer.Option(help="show, replay: a fact's row, by the surrogate key that it will have.")
    ] = None,
) -> None:
    """Show the rows that the star cannot take, why, and how to mend them; or take them up again.

    A replay writes a batch that names the rows. The next transform takes up each row that the star can take by then, at
    its place in the history. The others stay in quarantine.

    Example: `tidemark quarantine show fact_sales_order --batch 3`
    """
    called = invocation(ctx)
    pipeline = called.pipeline()
    if batch is not None and action != "show":
        raise ConfigError(f"--batch belongs to show, not to {action}", advice="leave it out")
    if action == "list":
        _list(pipeline, table, as_json=called.as_json)
    elif action == "show":
        _show(pipeline, table, batch, ordinal or (), as_json=called.as_json)
    else:
        _replay(pipeline, table, ordinal or (), as_json=called.as_json)


def _list(pipeline: "Pipeline", table: str | None, *, as_json: bool) -> None:
    from tidemark.star.quarantine_report import list_heaps, star_tables  # noqa: PLC0415 -- `--help` does without DuckDB

    with waiting("reading the quarantine"):
        heaps = list_heaps(star_tables(pipeline.model, table), pipeline.processed)
    if as_json:
        print_json({"tables": heaps})
    elif heaps:
        _show_heaps(heaps)
    else:
        out().print("the quarantine is empty")


def _show(
    pipeline: "Pipeline", table: str | None, batch: int | None, ordinals: Sequence[int], *, as_json: bool
) -> None:
    from tidemark.star.quarantine_report import how_to_mend, list_set_aside, star_tables  # noqa: PLC0415 -- as above

    with waiting("reading the quarantine"):
        tables = star_tables(pipeline.model, table)
        rows = list_set_aside(tables, pipeline.processed, batch=batch, ordinals=ordinals)
    if as_json:
        print_json({"rows": [_document(row, how_to_mend(row)) for row in rows]})
        return
    for row in rows[:SHOWN_ROWS]:
        _show_row(row, how_to_mend(row))
    if not rows:
        out().print("no such rows are in quarantine" if table or batch or ordinals else "the quarantine is empty")
    if len(rows) > SHOWN_ROWS:
        others = shown_count(len(rows) - SHOWN_ROWS)
        out().print(f"{others} more rows: name a table, a batch or an ordinal, or use --json", markup=False)


def _replay(pipeline: "Pipeline", table: str | None, ordinals: Sequence[int], *, as_json: bool) -> None:
    with waiting("reading the quarantine"):
        done = pipeline.replay.run(table, ordinals)
    if as_json:
        print_json(done)
    else:
        out().print(_outcome(done), markup=False, soft_wrap=True)


def _show_heaps(heaps: Sequence["Heap"]) -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    numbers = ("rows", "waiting", "since batch")
    table = new_table("table", *numbers, "reasons", numbers=numbers)
    for heap in heaps:
        reasons = "\n".join(f"{shown_count(count)}  {reason}" for reason, count in heap.reasons.items())
        counts = (shown_count(heap.rows), shown_count(heap.waiting), str(heap.oldest_batch))
        table.add_row(heap.table, *counts, Text(reasons))
    out().print(table)
    out().print("waiting rows come back by themselves with the row that they refer to", style="dim")
    out().print("what to do about the others: tidemark quarantine show", style="dim")


def _show_row(row: "SetAside", ways: Sequence[str]) -> None:
    from rich.text import Text  # noqa: PLC0415 -- as above

    title = row.table if row.ordinal is None else f"{row.table} {row.ordinal}"
    facts = [
        ("key", ", ".join(f"{name} {_text(value)}" for name, value in json.loads(row.key).items())),
        ("reason", row.reason),
        ("batch", f"{row.batch}, {row.op}, captured at {row.captured_at} UTC"),
        ("row", "; ".join(f"{name} {_text(value)}" for name, value in row.values.items())),
        *(("what to do" if number == 0 else "", way) for number, way in enumerate(ways)),
    ]
    out().print(Text(title, style="bold"))
    for name, value in facts:
        out().print(Text(f"  {name:<12}{value}"), soft_wrap=True)


def _outcome(done: "Replayed") -> str:
    if done.batch is None and done.waiting:
        return f"batch {done.waiting[-1]} names them already: tidemark run, or transform and load, takes them up"
    if done.batch is None:
        return "the quarantine is empty: there is nothing to take up again"
    named = ", ".join(f"{name} {shown_count(count)}" for name, count in done.rows.items())
    return (
        f"batch {done.batch} names {shown_count(sum(done.rows.values()))} rows ({named}): tidemark run, or transform"
        " and load, takes up those that the star can take by then"
    )


def _document(row: "SetAside", ways: Sequence[str]) -> dict[str, object]:
    return {
        "table": row.table,
        "batch": row.batch,
        "ordinal": row.ordinal,
        "key": json.loads(row.key),
        "op": row.op,
        "reason": row.reason,
        "waits": row.waits,
        "captured_at": row.captured_at,
        "row": row.values,
        "mend": ways,
    }


def _text(value: object) -> str:
    # JSON escapes control characters, so none reaches the terminal.
    shown = json.dumps(value, ensure_ascii=False)
    return shown if len(shown) <= SHOWN_CHARACTERS else f"{shown[:SHOWN_CHARACTERS]}… ({len(shown)} characters)"
