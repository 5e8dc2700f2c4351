"""Spark: an engine that runs a model's SELECT over Parquet files and writes its rows as such.

It is behind Spark Connect, or is the Spark of the program that Tidemark runs in. Sail is a Spark without a JVM that
Tidemark starts itself. What a SELECT means is what DuckDB makes of it: the session
has DuckDB's time zone, and a value that does not fit its type is an error and never another value.
"""

import logging
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, cast

from tidemark.engine_address import is_loopback, secrets_in
from tidemark.errors import ConfigError, DataError, TransientError, hide
from tidemark.extras import needed_for
from tidemark.lake.spark_errors import WHERE, translated, without_words_of_its_end
from tidemark.lake.spark_program import has_stopped, is_cluster, remote_of_program, session_beside
from tidemark.lake.spark_scratch import Disk, Place, cleared
from tidemark.settings import standard_variable

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

# Imports within functions load libraries of an extra.
# ruff: noqa: PLC0415
logger = logging.getLogger(__name__)
SAIL = "sail"
# The engine's name for the Spark of the program that Tidemark runs in.
OF_PROGRAM = "spark"
# What would give a SELECT another meaning, whatever the company's Spark has for it.
CONF = {
    "spark.sql.session.timeZone": "UTC",
    "spark.sql.ansi.enabled": "true",
    "spark.sql.caseSensitive": "false",
    "spark.sql.timestampType": "TIMESTAMP_LTZ",
    "spark.sql.parquet.outputTimestampType": "TIMESTAMP_MICROS",
    "spark.sql.parquet.datetimeRebaseModeInRead": "CORRECTED",
    "spark.sql.parquet.datetimeRebaseModeInWrite": "CORRECTED",
    # It would put settings and variables of the machine in the place of a text such as ${env:HOME}.
    "spark.sql.variable.substitute": "false",
    "spark.sql.legacy.timeParserPolicy": "CORRECTED",
    "spark.sql.decimalOperations.allowPrecisionLoss": "false",
    "spark.sql.parser.escapedStringLiterals": "false",
}
# PySpark sends it to any server whose address has no token.
TOKEN = "SPARK_CONNECT_AUTHENTICATE_TOKEN"  # noqa: S105 # nosec B105
PROBE = "tidemark_probe"
# A cluster may run one task on this very machine, and runs some of so many on others.
PROBES = 16
PROBE_ROWS = "select * from range(0, 16, 1, 16), tidemark_probe"


class Spark:
    """A session on an engine; what it sets and names there is its own."""

    def __init__(
        self,
        session: "SparkSession",
        what: str,
        has_stopped: Callable[[], bool] = lambda: False,
        *,
        is_elsewhere: bool = False,
    ) -> None:
        self._session = session
        self.what = what
        self._has_stopped = has_stopped
        # Where the engine runs on other machines, they do not see this machine's disk.
        self.is_elsewhere = is_elsewhere
        self.place: Place = Disk()

    def made(self, select: str, tables: Mapping[str, Path], folder: Path, what: str = "") -> list[Path]:
        """Run a SELECT of DuckDB's over Parquet files, and give the Parquet files of its rows, none if there are none.

        Args:
            select: the SELECT, which reads nothing but `tables`.
            tables: the file of each table by the name that the SELECT calls it.
            folder: a folder for the rows.
            what: what the rows are for, as an error names it.

        Raises:
            ConfigError: Spark does not understand the SELECT.
            DataError: it fails on a row.
            TransientError: the engine is gone.
        """
        with needed_for("spark"):
            from tidemark.lake.carrying import carried_over

        of = f" of {what}" if what else ""
        try:
            carried = carried_over(select, tables)
        except ValueError as exc:
            message = f"sqlglot cannot carry the SELECT{of} over to Spark: {exc}"
            raise ConfigError(message, advice=WHERE) from exc
        with cleared(self.place) as place:
            addresses = {name: place.given(file) for name, file in tables.items()}
            target = place.target(folder)
            with self._translated(ConfigError, f"does not understand the SELECT{of}"):
                for name, address in addresses.items():
                    self._session.sql(view_of(name, address)).collect()
                rows = self._session.sql(carried)
                # Asking for this has the engine look up what the SELECT names. What it raises later is about rows.
                logger.debug("%s yields %s", self.what, rows.schema.names)
            with self._translated(DataError, f"fails on a row of the SELECT{of}"):
                rows.write.mode("overwrite").parquet(target)
            return place.taken(target, folder)

    def probed(self, place: Place, file: Path, folder: Path) -> list[Path]:
        """Have some of the engine's tasks read a Parquet file at a place and write there, and give what they wrote.

        Raises:
            ConfigError: the engine cannot.
            TransientError: it is gone.
        """
        with cleared(place), self._translated(ConfigError, f"cannot read and write {place.shown}"):
            target = place.target(folder)
            self._session.sql(view_of(PROBE, place.given(file))).collect()
            self._session.sql(PROBE_ROWS).write.parquet(target)
            return place.taken(target, folder)

    def set(self, conf: Mapping[str, str]) -> None:
        """Set what the session is to do."""
        with self._translated(ConfigError, "does not take a setting"), warnings.catch_warnings():
            # Sail says that it does not know one: what it does is what the setting asks for.
            warnings.simplefilter("ignore")
            for name, value in conf.items():
                self._session.conf.set(name, value)

    def _translated(self, family: type[ConfigError | DataError], said: str) -> AbstractContextManager[None]:
        return translated(self.what, family, said, self._has_stopped)


def view_of(name: str, address: str) -> str:
    """Write the statement of Spark's that makes a Parquet file at a plain address readable by a name."""
    quoted = name.replace("`", "``")
    return f"create or replace temporary view `{quoted}` using parquet options (path '{address}')"


@contextmanager
def open_spark(address: str) -> Iterator[Spark]:
    """Open a session on an engine.

    Args:
        address: `sail` starts one that ends with the block, `sc://…` is a Spark Connect server, and `spark` is the
            Spark of the program that Tidemark runs in.

    Raises:
        ConfigError: the extra is not installed, or the program has no Spark.
        TransientError: the engine cannot be reached.
    """
    # It would write each error of a row to standard error, with the row's values.
    logging.getLogger("SQLQueryContextLogger").disabled = True
    with ExitStack() as opened:
        opened.enter_context(_program_with_a_file())
        remote = remote_of_program() if address == OF_PROGRAM else address
        what = {SAIL: "Sail", None: "the program's Spark"}.get(remote, "the Spark Connect server")
        if remote is None:
            session = opened.enter_context(session_beside(what))
            spark = Spark(
                session, what, partial(has_stopped, session), is_elsewhere=is_cluster(session.sparkContext.master)
            )
        else:
            url, sail = opened.enter_context(started_sail()) if remote == SAIL else (remote, None)
            session = opened.enter_context(_connected(url, is_ours=remote == SAIL))
            if sail:
                # First of all: Sail answers whoever leaves it when it is through with its query.
                opened.callback(sail.kill)
            spark = Spark(session, what, is_elsewhere=not is_loopback(url))
        spark.set(CONF)
        yield spark


@contextmanager
def _connected(url: str, *, is_ours: bool) -> Iterator["SparkSession"]:
    with needed_for("spark"):
        from pyspark.sql.connect.client.core import DefaultChannelBuilder
        from pyspark.sql.connect.client.retries import DefaultPolicy
        from pyspark.sql.connect.session import SparkSession as Connected

    class WithoutToken(DefaultChannelBuilder):
        # PySpark's is the variable's, which is meant for a server of somebody else's, and it speaks TLS for it.
        token = None

    of_variable = standard_variable(TOKEN)
    hide([*secrets_in(url), *([of_variable] if of_variable else [])])
    builder = WithoutToken(url) if is_ours else DefaultChannelBuilder(url)
    session = Connected.builder.channelBuilder(builder).create()
    try:
        session.client.set_retry_policies([DefaultPolicy(max_retries=2)])
        yield cast("SparkSession", session)
    finally:
        with without_words_of_its_end():
            session.stop()


@contextmanager
def _program_with_a_file() -> Iterator[None]:
    """Let the program have a file: PySpark takes one without, as of `python -c`, for its own doctests, and ends it."""
    program = sys.modules["__main__"]
    if hasattr(program, "__file__"):
        yield
        return
    program.__file__ = "-c"
    try:
        yield
    finally:
        del program.__file__


@contextmanager
def started_sail() -> Iterator[tuple[str, "subprocess.Popen[str]"]]:
    """Start Sail in a process that ends with this one; give its address and the process."""
    command = [sys.executable, "-m", "tidemark.lake.sail"]
    with subprocess.Popen(  # noqa: S603 -- our own interpreter
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        try:
            port = process.stdout.readline().strip() if process.stdout else ""
            if not port.isdecimal() or port == "0":
                raise TransientError("Sail did not start", advice="python -m tidemark.lake.sail says why")
            yield f"sc://127.0.0.1:{port}", process
        finally:
            process.kill()
