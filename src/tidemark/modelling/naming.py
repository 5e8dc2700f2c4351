"""Names of a new star: plain ones, whatever the source calls its tables and columns."""

import json
import re
import unicodedata
from collections.abc import Collection, Iterable

PLAIN = re.compile(r"[a-z_][a-z0-9_]*", re.ASCII)
BARE_KEY = re.compile(r"[A-Za-z0-9_-]+", re.ASCII)
HUMP = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
# What Tidemark puts around a table's name (`fact_…_history_key`) has to fit into a name of 63 bytes.
LONGEST_TABLE, LONGEST_COLUMN = 40, 55


def plain(name: str, longest: int = LONGEST_COLUMN) -> str:
    """Write a name in small letters, digits and underscores: `CustomerID` becomes `customer_id`.

    `longest` is in bytes.
    """
    if PLAIN.fullmatch(name) and len(name) <= longest:
        return name
    letters = unicodedata.normalize("NFKD", HUMP.sub("_", name).casefold())
    found = re.sub(r"[^a-z0-9]+", "_", letters.encode("ascii", "ignore").decode()).strip("_")
    if not found:
        # Nothing of it is Latin: it keeps its own letters.
        found = re.sub(r"[^\w]+", "_", name.lower()).strip("_") or "unnamed"
    found = found.encode()[:longest].decode("utf-8", "ignore").strip("_")
    return f"n_{found}" if found[0].isdigit() else found


def free(name: str, taken: Collection[str]) -> str:
    """Give the name, with a number behind it if it is taken."""
    numbered = (f"{name}_{number}" for number in range(2, len(taken) + 3))
    return name if name not in taken else next(each for each in numbered if each not in taken)


def in_toml(name: str) -> str:
    """Write a name as a key of TOML."""
    return name if BARE_KEY.fullmatch(name) else text_in_toml(name)


def text_in_toml(text: str) -> str:
    """Write a string of TOML, which escapes what JSON does and DEL as well."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def names_in_toml(names: Iterable[str]) -> str:
    """Write an array of strings."""
    return f"[{', '.join(map(text_in_toml, names))}]"


def comment(text: str) -> str:
    """Write a text as what can stand behind the mark of a comment: in one line."""
    return "".join(letter if letter.isprintable() else "?" for letter in text)
