"""A problem of a model: where it is, and how to mend it."""

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches


@dataclass(frozen=True, order=True)
class Problem:
    """One mistake; `file` is relative to the model's directory, and `line` counts from 1."""

    file: str
    line: int
    problem: str
    advice: str


def likely(name: str, known: Iterable[str]) -> str:
    """Give the one of the known names that was probably meant; empty where none is like it."""
    return next(iter(get_close_matches(name, list(known), n=1, cutoff=0.6)), "")
