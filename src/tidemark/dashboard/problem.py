"""What a page says in place of what could not be had: the error in words, and what to do."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from tidemark.errors import TidemarkError

logger = logging.getLogger(__name__)
Found = TypeVar("Found")


@dataclass(frozen=True)
class Problem:
    """An error of Tidemark's, as a person reads it."""

    message: str
    advice: str = ""


def attempted(ask: Callable[[], Found]) -> tuple[Found | None, Problem | None]:
    """Give what can be had, or the problem."""
    try:
        return ask(), None
    except TidemarkError as exc:
        logger.info("%s", exc)
        return None, Problem(exc.message, exc.advice)
