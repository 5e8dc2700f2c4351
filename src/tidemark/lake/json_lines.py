"""Files of JSON lines, whose longest line the engine has to know before it reads one."""

from collections.abc import Iterable
from pathlib import Path

from tidemark.lake.sqltext import LONGEST_JSON_BYTES

CHUNK_BYTES = 1 << 20


def longest_line_bytes(files: Iterable[Path]) -> int:
    """Give the bytes of the longest line in some files, at least those for which the engine is always prepared."""
    large = (file for file in files if file.stat().st_size > LONGEST_JSON_BYTES)
    return max([LONGEST_JSON_BYTES, *map(_longest, large)])


def _longest(file: Path) -> int:
    longest = length = 0
    with file.open("rb") as opened:
        while chunk := opened.read(CHUNK_BYTES):
            *ended, rest = chunk.split(b"\n")
            for part in ended:
                longest = max(longest, length + len(part) + 1)
                length = 0
            length += len(rest)
    return max(longest, length)
