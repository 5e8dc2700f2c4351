"""The star's rows in COPY's binary form, which costs the server half as much as lines do.

delta-rs's query engine composes them, as it composes the lines. They are no proof of the rows, because a checksum is
over lines. So they are read from data files that hold just the rows of one batch, and whose bytes are compared with the
digests in the batch's manifest. What has no exact binary form goes as lines.
"""

import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from deltalake import DeltaTable
from deltalake.transaction import AddAction

from tidemark.errors import StateError
from tidemark.lake.scratch import scratch_folder
from tidemark.lake.sqltext import Condition, Expression, Select, listed, quoted
from tidemark.lake.table import UNFIT_FOR_DELTA, LakeTable
from tidemark.named_sql import filled
from tidemark.objects import ObjectMissingError, measured, open_objects
from tidemark.star.copy_lines import ADVICE, FIRST_DAY, LAST_DAY, LINE, MICROSECONDS, ROWS_AT_ONCE, read

logger = logging.getLogger(__name__)
HEADER, TRAILER = b"PGCOPY\n\xff\r\n\0" + bytes(8), b"\xff\xff"
# PostgreSQL counts from 2000 on, Arrow from 1970.
DAYS_TO_2000 = 10_957
IS_PLAIN = "is_plain"
TIME_CHARACTERS = len("HH:MM:SS.ffffff")
# A numeric is a row of groups of four digits. So many groups, or so many digits as they are, fit into 64 bits.
GROUP_DIGITS, GROUPS_PACKED, MOST_DIGITS = 4, 4, 18
# So many bytes of files are read by one query: to plan one takes as long as some thousand rows.
GROUP_BYTES = 64 << 20
# Of more rows, as long as they are no more bytes, the next are composed while the server takes these.
MOST_ROWS_AT_ONCE, BLOCK_BYTES = 8192, 4 << 20
# The type in the warehouse that a column of the lake has there, without digits in parentheses.
SAME_TYPES = {
    ("SMALLINT", "smallint"),
    ("INTEGER", "integer"),
    ("BIGINT", "bigint"),
    ("BOOLEAN", "boolean"),
    ("VARCHAR", "text"),
    ("VARCHAR", "character varying"),
    ("VARCHAR", "time without time zone"),
    ("DATE", "date"),
    ("TIMESTAMP", "timestamp without time zone"),
    ("TIMESTAMP WITH TIME ZONE", "timestamp with time zone"),
    ("DECIMAL", "numeric"),
}


class NoBinaryFormError(Exception):
    """Say that a row holds a value whose binary form is not known; nothing is wrong with it."""


@dataclass
class BinaryRows:
    """The rows of one batch in a table, which are all the rows of some data files.

    `types` are the warehouse's by column, `digests` the SHA-256 of each file by its name.
    """

    lake: LakeTable
    types: Mapping[str, str]
    digests: Mapping[str, str]
    rows: int = 0
    size_bytes: int = 0
    is_binary: ClassVar[bool] = True

    @property
    def is_possible(self) -> bool:
        """Say whether these files are in the table, and each column's type has a binary form."""
        kinds = ((self.lake.columns[name], kind) for name, kind in self.types.items())
        return (
            bool(self.digests) and self.digests.keys() <= {*self.lake.files} and all(_is_same(*each) for each in kinds)
        )

    def blocks(self) -> Iterator[bytes]:
        """Yield what COPY takes, in blocks.

        Raises:
            NoBinaryFormError: a value has no binary form; some blocks may have come before.
            StateError: a data file is missing or altered.
            TransientError: the bucket is away.
        """
        rows = _rows(self.lake.columns, self.types)
        yield HEADER
        for files in _groups(self.digests, self.lake.sizes):
            with _verified(self.lake, files) as copy:
                for batch in read(copy, rows, self._rows_at_once()):
                    if not all(batch.column(IS_PLAIN).to_pylist()):
                        raise NoBinaryFormError
                    block = b"".join(batch.column(LINE).to_pylist())
                    self.rows += batch.num_rows
                    self.size_bytes += len(block)
                    yield block
        yield TRAILER

    def _rows_at_once(self) -> int:
        """Say how many rows to compose at once, by how long they were so far."""
        fitting = BLOCK_BYTES * self.rows // max(self.size_bytes, 1)
        return max(ROWS_AT_ONCE, min(fitting, MOST_ROWS_AT_ONCE))


def _groups(digests: Mapping[str, str], sizes: Mapping[str, int]) -> Iterator[dict[str, str]]:
    """Cut files into groups of at most `GROUP_BYTES` each, or of one file; the first one is a group of its own."""
    group: dict[str, str] = {}
    room = 0
    for file, digest in digests.items():
        if group and sizes[file] > room:
            yield group
            group, room = {}, GROUP_BYTES
        group[file] = digest
        room -= sizes[file]
    yield group


@contextmanager
def _verified(lake: LakeTable, digests: Mapping[str, str]) -> Iterator[LakeTable]:
    """Copy data files into a table of their own, and compare the copies with their digests.

    Nobody else can write to the copies. So the bytes that are compared are those that are read.
    """
    try:
        with scratch_folder("load") as folder:
            yield _copied(lake, digests, folder)
    except OSError as exc:
        # Lines need no room on a disk.
        logger.info("%s is loaded as lines, because its files cannot be copied: %s", lake.path, exc)
        raise NoBinaryFormError from exc


def _is_same(kind: str, type_: str) -> bool:
    """Say whether a value of the lake's type is the same in the warehouse's type, and has a binary form."""
    base, _, digits = type_.partition("(")
    if digits and base not in ("numeric", "character varying"):
        return False
    return (kind.partition("(")[0], base) in SAME_TYPES and (base != "numeric" or _digits_of(kind)[0] <= MOST_DIGITS)


def _copied(lake: LakeTable, digests: Mapping[str, str], folder: Path) -> LakeTable:
    table = folder / "table"
    if UNFIT_FOR_DELTA.search(str(table)):
        raise OSError(f"there can be no Delta table at {table}")
    delta = DeltaTable.create(str(table), lake.delta.schema())
    actions = []
    for file, digest in digests.items():
        try:
            lake.objects.download(f"{lake.path}/{file}", table / file)
        except ObjectMissingError as missing:
            raise StateError(f"a data file of {lake.path} is missing: {missing.message}", advice=ADVICE) from missing
        size_bytes, found = measured(table / file)
        if found != digest:
            message = f"a data file of {lake.path} is altered: {lake.uri(file)} has not the bytes that were written"
            raise StateError(message, advice=ADVICE, sha256=found)
        actions.append(AddAction(file, size_bytes, {}, 0, data_change=True, stats="{}"))
    delta.create_write_transaction([*actions], "append", lake.delta.schema())
    delta.update_incremental()
    return LakeTable(open_objects(str(folder)), table.name, lake.columns, delta)


def _rows(columns: Mapping[str, str], types: Mapping[str, str]) -> Select:
    fields = [_field(quoted(name), columns[name], kind) for name, kind in types.items()]
    plain = [_is_plain(quoted(name), columns[name], kind) for name, kind in types.items()]
    parts = {
        "values": listed([_bytes(f"{len(fields):04x}"), *fields]),
        "condition": Condition(f"coalesce({' and '.join(filter(None, plain)) or 'true'}, true)"),
    }
    return Select(filled("datafusion", "binary_rows_of_star", parts))


def _is_plain(column: Expression, kind: str, type_: str) -> Condition | None:
    """Write the condition on which a value has a binary form; None if each has one."""
    if kind == "DATE":
        return Condition(f"arrow_cast({column}, 'Int32') between {FIRST_DAY} and {LAST_DAY}")
    if kind.startswith("TIMESTAMP"):
        first, end = FIRST_DAY * MICROSECONDS, (LAST_DAY + 1) * MICROSECONDS
        return Condition(f"arrow_cast({column}, 'Int64') between {first} and {end - 1}")
    if type_.startswith("time "):
        # A longer text may have more than six digits of a second, or a zone.
        is_read = f"try_cast({column} as time) is not null"
        is_short = f"octet_length({column}) <= {TIME_CHARACTERS} and strpos({column}, ':') = 3"
        return Condition(f"({column} is null or {is_short} and {is_read})")
    return None


def _field(column: Expression, kind: str, type_: str) -> Expression:
    """Write the expression for a value's length and bytes; -1 as the length is null."""
    if kind == "BOOLEAN":
        return Expression(
            f"case when {column} then {_bytes('0000000101')} when not {column} then {_bytes('0000000100')}"
            f" else {_bytes('ffffffff')} end"
        )
    if kind == "SMALLINT":
        parts = [_bytes("00000002"), _number(column, 2)]
    elif kind == "INTEGER":
        parts = [_bytes("00000004"), _number(column, 4)]
    elif kind == "BIGINT":
        parts = [_bytes("00000008"), _number(column, 8)]
    elif kind == "DATE":
        parts = [
            _bytes("00000004"),
            _number(f"(arrow_cast({column}, 'Int32') - arrow_cast({DAYS_TO_2000}, 'Int32'))", 4),
        ]
    elif kind.startswith("TIMESTAMP"):
        moment = f"(arrow_cast({column}, 'Int64') - {DAYS_TO_2000 * MICROSECONDS})"
        parts = [_bytes("00000008"), _number(moment, 8)]
    elif kind.startswith("DECIMAL"):
        parts = _numeric(column, kind)
    elif type_.startswith("time "):
        parts = [_bytes("00000008"), _number(f"(arrow_cast(try_cast({column} as time), 'Int64') / 1000)", 8)]
    else:
        length = _number(f"arrow_cast(octet_length({column}), 'Int32')", 4)
        parts = [length, Expression(f"arrow_cast({column}, 'Binary')")]
    return Expression(f"coalesce({' || '.join(parts)}, {_bytes('ffffffff')})")


def _numeric(column: Expression, kind: str) -> list[Expression]:
    """Write the parts of a numeric: its length, number of groups, weight of the first, sign, scale, and the groups."""
    precision, scale = _digits_of(kind)
    before, after = -(-(precision - scale) // GROUP_DIGITS), -(-scale // GROUP_DIGITS)
    digits = f"abs(arrow_cast({column} * {10**scale}, 'Int64'))"
    # By how many of its last digits the number is cut for each group; the last group may have to be filled up.
    cuts = [scale + GROUP_DIGITS * place for place in reversed(range(-after, before))]
    groups = [
        f"({digits} / {10**cut} % 10000)" if cut >= 0 else f"({digits} % {10 ** (GROUP_DIGITS + cut)} * {10**-cut})"
        for cut in cuts
    ]
    # PostgreSQL takes leading zeros away.
    groups = ["0"] * (-len(groups) % GROUPS_PACKED) + groups
    packed = [groups[first : first + GROUPS_PACKED] for first in range(0, len(groups), GROUPS_PACKED)]
    head = f"{8 + 2 * len(groups):08x}{len(groups):04x}{(len(groups) - after - 1) & 0xFFFF:04x}"
    sign = f"case when {column} < 0 then {_bytes(f'4000{scale:04x}')} else {_bytes(f'0000{scale:04x}')} end"
    return [_bytes(head), Expression(sign), *map(_packed, packed)]


def _packed(groups: Sequence[str]) -> Expression:
    """Write the bytes of four groups, each with its higher byte first."""
    moved = (
        f"({group} >> 8) << {16 * place} | ({group} & 255) << {16 * place + 8}"
        for place, group in enumerate(groups)
        if group != "0"
    )
    return Expression(f"arrow_cast({' | '.join(moved)}, 'Binary')")


def _digits_of(kind: str) -> tuple[int, int]:
    """Give the digits of a decimal type, and how many of them come after the point."""
    precision, _, scale = kind.partition("(")[2].rstrip(")").partition(",")
    return int(precision), int(scale)


def _bytes(digits: str) -> Expression:
    return Expression(f"arrow_cast(X'{digits}', 'Binary')")


def _number(value: str, length: int) -> Expression:
    """Write the bytes of a number, the highest first. In memory, and so for Arrow, the lowest comes first."""

    def constant(number: int) -> str:
        return str(number) if length == 8 else f"arrow_cast({number}, 'Int{8 * length}')"  # noqa: PLR2004

    moved = []
    for place in range(length // 2):
        other = length - 1 - place
        by, low = constant(8 * (other - place)), constant(255 << 8 * place)
        moved += [f"({value} & {low}) << {by}", f"({value} >> {by}) & {low}"]
    return Expression(f"arrow_cast({' | '.join(f'({each})' for each in moved)}, 'Binary')")
