"""A finding: what one check found, and what to do about it."""

from dataclasses import dataclass
from typing import Literal

Outcome = Literal["pass", "hint", "failure"]


@dataclass(frozen=True)
class Finding:
    """The result of one check: what was found and, unless it is a pass, what to do."""

    area: str
    outcome: Outcome
    found: str
    advice: str = ""
