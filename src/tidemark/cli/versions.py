"""The versions of a row for people: which columns are shown, and how they are laid out."""

from collections.abc import Sequence

from rich.text import Text

from tidemark.cli.grid import LONGEST_NAME, natural_widths, one_below_the_other, shown
from tidemark.cli.output import new_table, out
from tidemark.warehouse.history import History

MARK = "●"


def shown_columns(found: History) -> list[str]:
    """Name the columns that say how the row evolved: those that ever changed, and what belongs to a version itself.

    Of a row with one version nothing has changed, so all of its columns are shown.
    """
    numbers = range(len(found.versions))
    if len(numbers) == 1:
        return list(found.columns)
    return [
        column
        for column in found.columns
        if column in found.bookkeeping or any(found.has_changed(number, column) for number in numbers)
    ]


def show_versions(found: History, *, shows_all: bool) -> None:
    """Print the versions side by side or, where the terminal is too narrow for that, one below the other."""
    title = f"{found.table}, {', '.join(f'{name} {value}' for name, value in found.key.items())}"
    columns = list(found.columns) if shows_all else shown_columns(found)
    cells = [[_cell(found, number, column) for number in range(len(found.versions))] for column in columns]
    titles = ["", *(f"version {number + 1}" for number in range(len(found.versions)))]
    widths = natural_widths([titles, *([shown(column), *row] for column, row in zip(columns, cells, strict=True))])
    out().print(Text(f"\n{shown(title)}", style="bold"), soft_wrap=True)
    # A table has three cells between two columns, and one on each side.
    if sum(widths) + 3 * len(widths) - 1 <= out().width:
        _show_side_by_side(titles, columns, cells)
    else:
        _show_one_below_the_other(titles[1:], columns, cells, shows_all=shows_all)
    if len(found.versions) > 1:
        out().print(f"{MARK} differs from the version before", style="dim")
    hidden = len(found.columns) - len(columns)
    if hidden:
        out().print(f"{hidden} more columns never changed: --all shows them", style="dim")


def _show_side_by_side(titles: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    table = new_table(*titles)
    for column, row in zip(columns, cells, strict=True):
        table.add_row(Text(shown(column)), *(Text(cell, style=_style(cell)) for cell in row))
    out().print(table)


def _show_one_below_the_other(
    titles: Sequence[str], columns: Sequence[str], cells: Sequence[Sequence[str]], *, shows_all: bool
) -> None:
    """Show the versions as lists: the first one whole, and of each other one what it says anew."""
    for number, title in enumerate(titles):
        out().print(Text(f"\n{title}", style="bold"), soft_wrap=True)
        for column, row in zip(columns, cells, strict=True):
            before = row[number - 1].removeprefix(MARK).strip() if number else None
            if shows_all or before != row[number].removeprefix(MARK).strip():
                for line in one_below_the_other([shown(column)], [row[number]], out().width, LONGEST_NAME):
                    out().print(Text(line, style=_style(row[number])), soft_wrap=True)
    out().print()


def _cell(found: History, number: int, column: str) -> str:
    value = found.versions[number][column]
    text = str(value).lower() if isinstance(value, bool) else str(value)
    mark = MARK if found.has_changed(number, column) else " "
    return f"{mark} {shown(None if value is None else text)}"


def _style(cell: str) -> str:
    return "bold yellow" if cell.startswith(MARK) else ""
