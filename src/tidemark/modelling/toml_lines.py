"""Where in a TOML file a section or a key stands.

`tomllib` gives no positions. It parses one header or one key by itself just as well, so it says what each line names.
"""

import re
import tomllib
from collections.abc import Mapping

PART = r"""(?:"(?:[^"\\]|\\.)*"|'[^']*'|[A-Za-z0-9_-]+)"""
KEY = re.compile(rf"\s*({PART}(?:\s*\.\s*{PART})*)\s*=")
# tomllib ends its message with the place.
PLACE = re.compile(r"at line (\d+)")

Path = tuple[str, ...]


def lines_of(text: str) -> Mapping[Path, int]:
    """Give the line, counted from 1, of each section and of each key, by its path from the top."""
    found: dict[Path, int] = {}
    section: Path = ()
    for number, line in enumerate(text.splitlines(), start=1):
        key = KEY.match(line)
        if line.lstrip().startswith("["):
            section = _path(line) or section
            found.setdefault(section, number)
        elif key:
            found.setdefault(section + _path(f"{key[1]} = 0"), number)
    return found


def line_of(lines: Mapping[Path, int], path: Path) -> int:
    """Give the line of a path or, if it has none of its own, of what it is in; 1 for the top."""
    while path and path not in lines:
        path = path[:-1]
    return lines.get(path, 1)


def line_of_error(message: str) -> int:
    """Give the line that tomllib names in an error; 1 if it names none."""
    found = PLACE.search(message)
    return int(found[1]) if found else 1


def _path(line: str) -> Path:
    """Give the path that a header or a key names; empty for a line that is neither, such as one of an array."""
    try:
        inner: object = tomllib.loads(line)
    except tomllib.TOMLDecodeError:
        return ()
    path: list[str] = []
    while isinstance(inner, dict | list) and inner:
        if isinstance(inner, dict):
            path.append(next(iter(inner)))
            inner = inner[path[-1]]
        else:
            inner = inner[0]
    return tuple(path)
