"""The engine's errors: DuckDB's errors about files and memory as Tidemark's families.

DuckDB has no error codes, so classes decide, and words where a class says too little.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from tidemark.disclosure import told
from tidemark.errors import ConfigError, StateError, TidemarkError, TransientError
from tidemark.lake.scratch import MEGABYTE
from tidemark.memory import memory_limit

if TYPE_CHECKING:
    import duckdb

# DuckDB's words for a file that is not there, and what every one of its errors about a file's content contains.
MISSING = "No files found that match the pattern"
FILE_OF_TABLE = ".parquet"
OUTSIDE_ADVICE = (
    "if a model's SELECT reads this file, make a seed of it; if it is a part of the lake, let the link be the lake's"
    " directory itself or one of its folders down to those of the tables"
)


@contextmanager
def translated(scratch: Path, failures: Sequence[TidemarkError]) -> Iterator[None]:
    """Turn DuckDB's errors about files into Tidemark's families; errors about rows are left to the stages.

    Args:
        scratch: where the engine writes.
        failures: the errors that reading S3 raised; DuckDB passes on only their text.
    """
    disk = f"check the disk that {scratch} lies on, then run it again"
    try:
        yield
    except OSError as exc:
        raise TransientError(f"a file could not be read or written: {exc}", advice=disk) from exc
    except Exception as exc:
        meant = _meant(exc, failures, disk)
        if meant is None:
            raise
        raise meant from exc


def _meant(exc: Exception, failures: Sequence[TidemarkError], disk: str) -> TidemarkError | None:
    """Say in Tidemark's words what an error of DuckDB means; None for an error about rows, or of another library."""
    import duckdb  # noqa: PLC0415 -- an engine that nothing is asked of does not load it

    if isinstance(exc, duckdb.OutOfMemoryException):
        return out_of_memory(exc, "", 0)
    if isinstance(exc, duckdb.PermissionException):
        message = f"the engine may use only the files of the lake and its own scratch files: {told(exc)}"
        return ConfigError(message, advice=OUTSIDE_ADVICE)
    is_broken = is_of_broken_file(exc)
    if failures and isinstance(exc, (duckdb.IOException, duckdb.InvalidInputException)):
        return failures[-1]
    if not is_broken and not isinstance(exc, duckdb.IOException):
        return None
    # DuckDB has no error codes, so only its words tell a missing or altered file of the lake from a full disk.
    found = told(exc)
    if is_broken or MISSING in str(exc):
        message = f"a data file of a Delta table is missing or altered: {found}"
        advice = (
            "restore it from the bucket's older versions, or make the table again: tidemark rebuild latest if it lies"
            " below latest/, tidemark rebuild star if below fact/ or dimension/"
        )
        return StateError(message, advice=advice)
    return TransientError(f"the engine could not read or write a file: {found}", advice=disk)


def is_of_broken_file(exc: Exception) -> bool:
    """Say whether a data file of the lake is damaged."""
    import duckdb  # noqa: PLC0415 -- as above

    # For a broken file the Parquet reader raises one of these two; nothing else raises the base class itself.
    return type(exc) is duckdb.Error or (isinstance(exc, duckdb.InvalidInputException) and FILE_OF_TABLE in str(exc))


def out_of_memory(exc: "duckdb.OutOfMemoryException", what: str, taken_bytes: int) -> ConfigError:
    """Say that a table needs more memory than the engine may take; `taken_bytes` is 0 for the limit it began with."""
    limit = f"{taken_bytes // MEGABYTE}MB" if taken_bytes else memory_limit()
    message = f"{what or 'a table'} needs more memory than the {limit} that the engine may take: {told(exc)}"
    advice = (
        "a row cannot be spilled to the disk: a very long one needs up to 30 times its size, and one of hundreds of"
        " columns needs memory for each of them: raise TIDEMARK_MEMORY_LIMIT, on AWS by the function's memory"
    )
    return ConfigError(message, advice=advice, table=what)


def beginning(exc: "duckdb.Error") -> str:
    """Give the first line of an error about a seed as it is: a seed is a part of the model, and has no rows."""
    return " ".join(str(exc).strip().partition("\n")[0].split())
