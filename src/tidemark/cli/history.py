"""The command `history`: show the versions of one row side by side."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import new_table, out, print_json
from tidemark.cli.progress import waiting

if TYPE_CHECKING:
    from tidemark.warehouse.history import History

MARK = "●"


def history(
    ctx: typer.Context,
    table: Annotated[
        str,
        typer.Argument(metavar="TABLE", help="A fact or the source table that drives it, or a dimension with history."),
    ],
    key: Annotated[
        list[str], typer.Argument(metavar="KEY", help="The row's key; one argument for each of its columns.")
    ],
) -> None:
    """Show how one row evolved: its versions side by side, with every change marked.

    Example: `tidemark history sales_order 17`
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
        _show(found)


def _document(found: "History") -> Mapping[str, object]:
    changed = [
        [column for column in found.columns if found.has_changed(number, column)]
        for number in range(len(found.versions))
    ]
    return {"table": found.table, "key": found.key, "versions": found.versions, "changed": changed}


def _show(found: "History") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    title = f"{found.table}, {', '.join(f'{name} {value}' for name, value in found.key.items())}"
    table = new_table("", *(f"version {number + 1}" for number in range(len(found.versions))), title=title)
    for column in found.columns:
        cells = []
        for number, version in enumerate(found.versions):
            text = _text(version[column])
            changed = found.has_changed(number, column)
            cells.append(Text(f"{MARK} {text}", style="bold yellow") if changed else Text(f"  {text}"))
        table.add_row(Text(column), *cells)
    out().print(table)
    out().print(f"{MARK} differs from the version before", style="dim")


def _text(value: object) -> str:
    if value is None:
        return "-"
    return str(value).lower() if isinstance(value, bool) else str(value)
