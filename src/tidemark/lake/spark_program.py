"""The Spark of the program that Tidemark runs in, such as a job of spark-submit: its session is lent, not ours."""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from tidemark.engine_address import parse_engine
from tidemark.errors import ConfigError
from tidemark.extras import needed_for
from tidemark.lake.spark_errors import translated
from tidemark.settings import standard_variable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Imports within functions load libraries of an extra.
# ruff: noqa: PLC0415
logger = logging.getLogger(__name__)
REMOTE = "SPARK_REMOTE"
HOW = f"run it in a job of spark-submit, EMR or Glue, or set {REMOTE} to sc://host:port"


def remote_of_program() -> str | None:
    """Give the Spark Connect server that the program's own variable names; None for a Spark in this process.

    Raises:
        ConfigError: the variable names something else.
    """
    address = standard_variable(REMOTE)
    if address and not address.startswith("sc://"):
        raise ConfigError(f"expected sc://host:port in {REMOTE}, got something else", advice=HOW)
    try:
        return parse_engine(address) if address else None
    except ConfigError as exc:
        raise ConfigError(f"{REMOTE}: {exc.message}", advice=HOW) from None


@contextmanager
def session_beside(what: str) -> Iterator["SparkSession"]:
    """Open a session beside that of the program, with views and settings of its own; the program's stays as it is.

    A program that has no Spark yet gets one, as its spark-submit describes it, until the block ends.

    Raises:
        ConfigError: the extra is not installed, or Spark cannot start here.
    """
    with needed_for("spark"):
        from pyspark.sql import SparkSession
    try:
        from pyspark import SparkContext
    except ImportError as exc:
        message = "the pyspark-client that is installed has no Spark of its own"
        raise ConfigError(message, advice=HOW) from exc

    is_ours = SparkContext._active_spark_context is None  # noqa: SLF001 -- nothing else says so
    with translated(what, ConfigError, "does not start"):
        session = SparkSession.builder.getOrCreate()
    try:
        if not hasattr(session, "newSession"):
            message = "the session of this program is one of Spark Connect, which cannot be lent"
            raise ConfigError(message, advice=f"set {REMOTE} to its address")
        logger.debug("%s is %s at %s", what, session.version, session.sparkContext.master)
        yield session.newSession()
    finally:
        if is_ours:
            session.stop()


def has_stopped(session: "SparkSession") -> bool:
    """Say whether somebody has stopped the Spark of the program, which ends every session on it."""
    java = session.sparkContext._jsc  # noqa: SLF001 -- nothing else says so
    return java is None or bool(java.sc().isStopped())


def is_cluster(master: str) -> bool:
    """Say whether a Spark with this master has its tasks run in other processes, which may be on other machines."""
    return not re.fullmatch(r"local(\[.*\])?", master)
