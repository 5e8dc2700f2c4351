"""The command `generate`: change rows in a totesys source, so that there is something to move."""

import itertools
import logging
from collections.abc import Iterator
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import Invocation, invocation
from tidemark.cli.output import new_table, out, print_json, shown_count
from tidemark.cli.progress import waiting
from tidemark.cli.schedule import repeated, stopped_by_signals
from tidemark.disclosure import told
from tidemark.errors import ConfigError, TransientError

if TYPE_CHECKING:
    from tidemark.embedded.generator import Activity

logger = logging.getLogger(__name__)


def generate(
    ctx: typer.Context,
    *,
    rows: Annotated[int, typer.Option(min=0, help="About how many rows to insert, update and delete.")] = 100,
    seed: Annotated[int, typer.Option(help="The same seed on the same rows does the same work.")] = 1,
    every: Annotated[
        str | None, typer.Option(metavar="TIME", help="Keep going: once every 30s or 10m, until stopped.")
    ] = None,
) -> None:
    """Do a burst of work in a totesys source: orders come, change and are cancelled, payments are made.

    With --every each burst takes the next seed. It writes to the source, so never point it at a real one.

    Example: `tidemark generate --rows 50 --seed 7 --every 30s`
    """
    from tidemark.settings import parse_duration  # noqa: PLC0415 -- `--help` does without

    called = invocation(ctx)
    called.pipeline().require("source")
    if every is None:
        _burst(called, rows, seed, in_one_line=False)
        return
    every_seconds = parse_duration(every).total_seconds()
    if every_seconds <= 0:
        raise ConfigError(f"expected a time above zero after --every, got {every!r}")
    seeds = itertools.count(seed)
    with stopped_by_signals() as stop:
        repeated(partial(_tick, called, rows, seeds), every_seconds=every_seconds, stop=stop)


def _tick(called: Invocation, rows: int, seeds: Iterator[int]) -> bool:
    try:
        _burst(called, rows, next(seeds), in_one_line=True)
    except TransientError as exc:
        logger.error("%s", exc.message)  # noqa: TRY400 -- foreseen, no traceback
        return False
    return True


def _burst(called: Invocation, rows: int, seed: int, *, in_one_line: bool) -> None:
    pipeline = called.pipeline()
    with waiting("working in the source"):
        done = _work(pipeline.source_url, rows, seed)
    if called.as_json:
        print_json(asdict(done), in_one_line=in_one_line)
    elif in_one_line:
        counts = [(sum(getattr(done, kind).values()), kind) for kind in ("inserted", "updated", "deleted")]
        out().print(", ".join(f"{shown_count(count)} {kind}" for count, kind in counts))
    else:
        _show(done)


def _work(url: str, rows: int, seed: int) -> "Activity":
    from psycopg import errors  # noqa: PLC0415 -- `--help` does without psycopg

    from tidemark.embedded.generator import activity  # noqa: PLC0415 -- as above
    from tidemark.postgres.connection import connect, translated, where  # noqa: PLC0415 -- as above

    connection = connect(url, application="tidemark generate")
    try:
        with translated(f"the source at {where(url)}"):
            try:
                return activity(connection, rows=rows, seed=seed)
            except (errors.UndefinedTable, errors.UndefinedColumn) as exc:
                message = f"the source at {where(url)} is no totesys: {told(exc)}"
                raise ConfigError(message, advice="`tidemark demo` makes one with rows in it") from exc
    finally:
        connection.close()


def _show(done: "Activity") -> None:
    kinds = ("inserted", "updated", "deleted")
    table = new_table("table", *kinds, numbers=kinds, title="work done in the source")
    for name in sorted({*done.inserted, *done.updated, *done.deleted}):
        table.add_row(name, *(shown_count(getattr(done, kind).get(name, 0)) for kind in kinds))
    out().print(table)
