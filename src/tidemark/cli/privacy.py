"""What a command makes belongs to its user alone: log and star hold every row of the source.

DuckDB, delta-rs and PostgreSQL make files by the process's umask, so the umask is the one place that reaches all of
them. Only the command `tidemark` sets it. A program that uses Tidemark as a library keeps its own; there, the
directories that Tidemark makes are closed and protect what lies in them.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tidemark.settings import Settings

FOR_OWNER = 0o077
FOR_GROUP = 0o027


def keep_private() -> None:
    """Make everything from now on for the user alone."""
    os.umask(FOR_OWNER)


def share_with_group(settings: "Settings") -> None:
    """Let the group read what is made from now on if a directory of the lake is shared with it (`chmod 2750`).

    Directories decide who gets so far: one that Tidemark makes is closed unless it lies in such a directory.
    """
    from tidemark.objects import is_shared  # noqa: PLC0415 -- `--help` does without

    before = os.umask(FOR_OWNER)
    lakes = (each for each in (settings.ingestion, settings.processed) if "://" not in each)
    is_wanted = before == FOR_OWNER and any(is_shared(Path(lake).expanduser()) for lake in lakes)
    os.umask(FOR_GROUP if is_wanted else before)
