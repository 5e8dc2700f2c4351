"""How rows of text are laid out within a width: side by side or, if that leaves too little room, one below the other.

Everything here is pure. Widths are counted in cells of a terminal, of which some characters take two.
"""

from collections.abc import Collection, Iterator, Sequence

from rich.cells import cell_len, chop_cells, set_cell_size

from tidemark.disclosure import visible

GAP = "  "
NULL = "-"
RULE = "─"
# Narrower than this no column is made: its words would be torn into letters.
LEAST = 10
# What names a row of a list takes beside its values.
LONGEST_NAME = 30


def shown(value: str | None) -> str:
    """Write a value for people: null as `-`, control characters as escapes; a line feed stays one."""
    return NULL if value is None else visible(value).replace("\t", r"\t")


def natural_widths(rows: Sequence[Sequence[str]]) -> list[int]:
    """Give the width that each column has by itself; the first row may hold the names."""
    return [max(_width(cell) for cell in column) for column in zip(*rows, strict=True)]


def fitted_widths(natural: Sequence[int], room: int) -> list[int] | None:
    """Make the widest columns narrower until all fit; None if one would have to be narrower than `LEAST`."""
    rest = room - len(GAP) * (len(natural) - 1)
    if sum(natural) <= rest:
        return list(natural)
    most = max((cap for cap in range(LEAST, room + 1) if sum(min(width, cap) for width in natural) <= rest), default=0)
    return [min(width, most) for width in natural] if most else None


def side_by_side(rows: Sequence[Sequence[str]], widths: Sequence[int], numbers: Collection[int] = ()) -> Iterator[str]:
    """Give the lines of a table: its first row holds the names; columns in `numbers` are aligned to the right."""
    for at, row in enumerate(rows):
        columns = [_folded(cell, width) for cell, width in zip(row, widths, strict=True)]
        for line in range(max(map(len, columns), default=0)):
            cells = [column[line] if line < len(column) else "" for column in columns]
            aligned = [
                _aligned(cell, width, to_the_right=number in numbers)
                for number, (cell, width) in enumerate(zip(cells, widths, strict=True))
            ]
            yield GAP.join(aligned).rstrip(" ")
        if not at:
            yield GAP.join(RULE * width for width in widths)


def one_below_the_other(names: Sequence[str], row: Sequence[str], room: int, left: int = 0) -> Iterator[str]:
    """Give the lines of one row as a list: a name, and its value beside it; names take `left` cells, 0 for enough."""
    left = left or min(max(map(cell_len, names), default=0), LONGEST_NAME)
    right = max(room - left - len(GAP), LEAST)
    for name, value in zip(names, row, strict=True):
        beginnings, values = _folded(name, left), _folded(value, right)
        for line in range(max(len(beginnings), len(values))):
            beginning = beginnings[line] if line < len(beginnings) else ""
            value_part = values[line] if line < len(values) else ""
            yield f"{set_cell_size(beginning, left)}{GAP}{value_part}".rstrip(" ")


def _width(cell: str) -> int:
    return max(map(cell_len, cell.split("\n")))


def _folded(cell: str, width: int) -> list[str]:
    return [
        part for line in cell.split("\n") for part in (chop_cells(line, width) if cell_len(line) > width else [line])
    ]


def _aligned(cell: str, width: int, *, to_the_right: bool) -> str:
    return f"{' ' * (width - cell_len(cell))}{cell}" if to_the_right else set_cell_size(cell, width)
