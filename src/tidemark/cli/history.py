"""The command `history`: show the versions of one row."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import print_json
from tidemark.cli.progress import waiting
from tidemark.errors import TidemarkError

if TYPE_CHECKING:
    from tidemark.warehouse.history import History


def tables_of_model(ctx: typer.Context, incomplete: str) -> list[str]:
    """Name the tables that keep versions, for a shell that completes; none if that is not to be had at once."""
    from tidemark.mirror import Mirror  # noqa: PLC0415 -- `--help` does without

    try:
        pipeline = invocation(ctx).pipeline()
        # The tables of a mirror are in the log, which may lie far away.
        if isinstance(pipeline.model_of_any_batch, Mirror) and "://" in pipeline.settings.ingestion:
            return []
        stars = pipeline.model.versioned
    except (TidemarkError, OSError):
        return []
    names = [name for star in stars for name in (star.name, star.driving if star.kind == "fact" else star.short_name)]
    return [name for name in dict.fromkeys(names) if name.startswith(incomplete)]


def history(
    ctx: typer.Context,
    table: Annotated[
        str,
        typer.Argument(
            metavar="TABLE",
            help="A fact or the source table that drives it, or a dimension with history.",
            autocompletion=tables_of_model,
        ),
    ],
    key: Annotated[
        list[str], typer.Argument(metavar="KEY", help="The row's key; one argument for each of its columns.")
    ],
    *,
    shows_all: Annotated[bool, typer.Option("--all", help="Show the columns that never changed as well.")] = False,
) -> None:
    """Show how one row evolved: the columns that ever changed, in each of its versions, with every change marked.

    The versions stand side by side or, where a terminal is too narrow for that, one below the other.

    Example: `tidemark history sales_order 17 --all`
    """
    from tidemark.warehouse.history import find_versioned, read_history  # noqa: PLC0415 -- `--help` does without psycopg

    called = invocation(ctx)
    pipeline = called.pipeline()
    pipeline.require("warehouse")
    with waiting("reading the warehouse"):
        found = read_history(pipeline.warehouse_url, find_versioned(pipeline.model, table), key)
    if called.as_json:
        print_json(_document(found))
    else:
        from tidemark.cli.versions import show_versions  # noqa: PLC0415 -- `--json` does without Rich

        show_versions(found, shows_all=shows_all)


def _document(found: "History") -> Mapping[str, object]:
    changed = [
        [column for column in found.columns if found.has_changed(number, column)]
        for number in range(len(found.versions))
    ]
    return {"table": found.table, "key": found.key, "versions": found.versions, "changed": changed}
