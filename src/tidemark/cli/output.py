"""What commands print: results on stdout, everything else on stderr."""

import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, is_dataclass
from datetime import date, datetime, timedelta
from functools import cache
from typing import TYPE_CHECKING, Any

import typer

from tidemark.disclosure import escaped_in_json, visible
from tidemark.errors import mask_passwords

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table


class _Manner:
    """How this process prints: nothing but errors, or without colours."""

    is_quiet = False
    is_plain = False


# Without a terminal Rich assumes 80 columns and cuts what does not fit. A file or a pipe can take a line of any length.
UNLIMITED = 10_000


def set_manner(*, quiet: bool, plain: bool) -> None:
    """Say how to print from now on; the environment says more of it, such as NO_COLOR, which Rich reads itself."""
    _Manner.is_quiet, _Manner.is_plain = quiet, plain
    out.cache_clear()
    err.cache_clear()


def is_quiet() -> bool:
    """Say whether only errors, and what `--json` or `--csv` asks for, are to be printed."""
    return _Manner.is_quiet


def is_plain() -> bool:
    """Say whether `--no-color` was given."""
    return _Manner.is_plain


def is_seen() -> bool:
    """Say whether a terminal shows the results, with its width and height; colours alone may be wanted elsewhere."""
    return sys.stdout.isatty()


def can_animate() -> bool:
    """Say whether lines of stderr may be drawn over: somebody sees them, on a terminal that can do it."""
    return not _Manner.is_quiet and sys.stderr.isatty() and not err().is_dumb_terminal


@cache
def out() -> "Console":
    """Return the console of results."""
    return _console(width=None if sys.stdout.isatty() else UNLIMITED, quiet=_Manner.is_quiet)


@cache
def err() -> "Console":
    """Return the console of logs, progress and errors."""
    return _console(stderr=True, width=None if sys.stderr.isatty() else UNLIMITED)


def _console(**options: Any) -> "Console":  # noqa: ANN401 -- passed on
    """Make a console that shows control characters as escapes, whatever text they come in.

    A value, a name or another program's words may hold an escape sequence, which a terminal would obey.
    """
    from rich.console import Console  # noqa: PLC0415 -- `--json` does without

    class VisibleConsole(Console):
        def render(self, *args: Any, **rest: Any) -> Iterator[Any]:  # noqa: ANN401 -- Rich's own signature
            for segment in super().render(*args, **rest):
                yield segment if segment.control else segment._replace(text=visible(segment.text))

    # None leaves the choice to Rich, which asks the environment.
    return VisibleConsole(highlight=False, no_color=_Manner.is_plain or None, **options)


def masked(text: str) -> str:
    """Return the text with `***` in place of every password in a URL or a connection string.

    Tidemark's own errors have masked theirs. This is for texts of others, such as a log line of a library.
    """
    return mask_passwords(text)


def say(text: str, *, nl: bool = True) -> None:
    """Print a result as it is, without Rich, which takes longer to load than some commands take."""
    if not _Manner.is_quiet:
        typer.echo(text, nl=nl)


def print_json(document: object, *, in_one_line: bool = False) -> None:
    """Print one JSON document: times in ISO 8601, decimals as text, durations in seconds."""
    written = json.dumps(document, default=_plain, indent=None if in_one_line else 2, ensure_ascii=False)
    typer.echo(escaped_in_json(written))


def new_table(*columns: str, numbers: tuple[str, ...] = (), title: str | None = None) -> "Table":
    """Make a compact table; the columns named in `numbers` are aligned to the right.

    Texts are shown as they are: a name such as `[red]` is not read as markup.
    """
    from rich import box  # noqa: PLC0415 -- as above
    from rich.table import Table  # noqa: PLC0415 -- as above
    from rich.text import Text  # noqa: PLC0415 -- as above

    class PlainTable(Table):
        def add_row(self, *cells: Any, **rest: Any) -> None:  # noqa: ANN401 -- Rich's own signature
            super().add_row(*map(_cell, cells), **rest)

    def _cell(cell: Any) -> Any:  # noqa: ANN401 -- whatever Rich can show
        # Escaped before the table measures it: the console would escape it too, and then cut it to its width.
        if isinstance(cell, Text) and visible(cell.plain) != cell.plain:
            return Text(visible(cell.plain), style=cell.style)
        return Text(visible(cell)) if isinstance(cell, str) else cell

    shown = Text(title) if title else None
    table = PlainTable(box=box.SIMPLE_HEAD, pad_edge=False, title=shown, title_justify="left", title_style="bold")
    for column in columns:
        table.add_column(Text(column), justify="right" if column in numbers else "left", overflow="fold")
    return table


def shown_count(number: int) -> str:
    """Write a number of rows: 11187 is `11,187`."""
    return f"{number:,}"


def shown_time(moment: datetime | None) -> str:
    """Write a moment in UTC to the second, `-` for none."""
    return f"{moment:%Y-%m-%d %H:%M:%S} UTC" if moment else "-"


def _plain(value: object) -> object:
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset | tuple):
        return list(value)
    return str(value)
