"""Choosing: what of a source table leaves the source: which columns, masked in which way, and of which rows.

The source itself leaves out and masks, within the one relation that every statement of a poll reads
(capture/relation.py). So nothing downstream ever has what was not chosen.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, get_args

Mask = Literal["sha256", "null", "first_letter"]
MASKS: tuple[Mask, ...] = get_args(Mask)
SET_SALT = "set TIDEMARK_MASK_SALT, or TIDEMARK_MASK_SALT_SECRET: a secret text that stays the same"
# What is shorter can be guessed, and with it the values.
SHORTEST_SALT = 16
# A text, a name in quotes, a comment's beginning, or anything else of one character. PostgreSQL's session reads texts
# with `standard_conforming_strings`, so a backslash is a letter like any other unless an E stands before the quote.
_TOKEN = re.compile(r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|--|/\*|\w+|.""", re.DOTALL)
_CLOSING = {")": "(", "]": "["}
# These begin a text that has other quotes than those above, or escapes.
_OTHER_TEXTS = ("e", "u&")
# With these begins what reads another table.
_READS_MORE = ("select", "table")


@dataclass(frozen=True)
class Choice:
    """What of a source table leaves the source; empty for all of it.

    `exclude` names columns that stay in the source, `mask` says what else is read in place of a column's value, and
    `where` is a condition of PostgreSQL over the table's own columns. `salt` is the secret that goes into every sha256.
    """

    exclude: tuple[str, ...] = ()
    mask: Mapping[str, Mask] = field(default_factory=dict)
    where: str = ""
    salt: str = field(default="", repr=False)

    @property
    def is_all(self) -> bool:
        """Say whether the whole table leaves the source as it is."""
        return not (self.exclude or self.mask or self.where)

    @property
    def needs_salt(self) -> bool:
        """Say whether a value is masked with the salt."""
        return "sha256" in self.mask.values()

    @property
    def names(self) -> tuple[str, ...]:
        """Name the columns that the table has to have, so that a typing error hides nothing too little."""
        return (*self.exclude, *self.mask)

    @property
    def fingerprint(self) -> str:
        """Name all on which rows and values depend but the source's own; empty where they are the source's own."""
        if not (self.mask or self.where):
            return ""
        salt = hashlib.sha256(f"tidemark mask salt {self.salt}".encode()).hexdigest() if self.needs_salt else ""
        return hashlib.sha256(repr((sorted(self.mask.items()), self.where, salt)).encode()).hexdigest()[:16]


def faults_of(choice: Choice, key: tuple[str, ...], moments: tuple[str, ...]) -> Iterator[str]:
    """Say, in one sentence each, what is wrong with a choice, whatever the source looks like."""
    for name in choice.exclude:
        if name in choice.mask:
            yield f"{name} is excluded and masked: expected one of the two"
        if name in (*key, *moments):
            yield f"exclude names {name}, which is in the key or is a column of time: Tidemark has to read it"
    for name, mask in choice.mask.items():
        if name in moments:
            yield f"mask names {name}, which is a column of time: Tidemark has to read it as it is"
        elif name in key and mask != "sha256":
            yield f'mask of {name} is "{mask}", and {name} is in the key: expected "sha256", which keeps keys apart'
    if choice.where:
        yield from (f"where is {choice.where!r}: {fault}" for fault in faults_of_condition(choice.where))


def faults_of_condition(where: str) -> Iterator[str]:
    """Say why a text cannot be one condition of a SELECT: it would end early, go on, or read another table."""
    opened: list[str] = []
    before = ""
    for found in _TOKEN.finditer(where):
        part = found[0]
        if part in ("--", "/*"):
            yield f"expected no comment, got {part}"
            return
        if part in (";", "$", "\0"):
            yield f"expected one condition without {part!r}; a text stands in simple quotes"
        elif part in ("'", '"'):
            yield f"a {part} has no second one"
            return
        elif part[0] == "'" and before in _OTHER_TEXTS:
            yield f"expected a text in simple quotes, got one with {before}' before it"
        elif part.lower() in _READS_MORE:
            yield f"expected a condition over the table's own columns, got {part}"
        elif part in _CLOSING.values():
            opened.append(part)
        elif part in _CLOSING and (not opened or opened.pop() != _CLOSING[part]):
            yield f"a {part} closes what nothing opened"
            return
        # `u&'…'` is three tokens.
        before = f"{before}&" if part == "&" and before == "u" else part.lower()
    if opened:
        yield f"a {opened[-1]} is not closed"
