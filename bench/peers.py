"""Measure other tools on the same source in the same run, and count what each of them lacks; see bench/README.md."""

from __future__ import annotations

import os
import subprocess
import venv
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

import psycopg
from measure import FailedError, Measured, added, drop_database, median, run_process, server_is_calm
from psycopg import sql

from tidemark.embedded.generator import TABLES

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime

    from run import Site

HERE = Path(__file__).parent
REQUIREMENTS = HERE.parent / "requirements"
# So many rows of each kind of change are looked for.
CASE_ROWS = 10
CASES = ("committed late", "deleted", "edited without a new `last_updated`")
NOW = "select (clock_timestamp() at time zone 'UTC')::timestamp(3)"
EDIT = """
update payment
set payment_amount = payment_amount + 1, last_updated = (clock_timestamp() at time zone 'UTC')::timestamp(3)
where payment_id = any(%s)
"""
EDIT_UNSTAMPED = "update payment set payment_amount = payment_amount + 1 where payment_id = any(%s)"
DELETE = "delete from payment where payment_id = any(%s)"


class Tool(Protocol):
    """What is measured: it copies a source, all of it the first time, then what has changed."""

    @property
    def name(self) -> str:
        """Give the name that the report uses."""

    @property
    def payments(self) -> str:
        """Name the table that holds the payments as they are now."""

    @property
    def target(self) -> str:
        """Give the URL of the database that it copies into."""

    def run(self) -> Measured:
        """Bring the copy up to date."""


@dataclass
class Tidemark:
    """Tidemark itself: one `tidemark run`."""

    site: Site
    name: str = "Tidemark"
    payments: str = "fact_payment_current"

    @property
    def target(self) -> str:
        """Give the URL of the warehouse."""
        return self.site.server.url(self.site.warehouse)

    def run(self) -> Measured:
        """Bring the warehouse up to date."""
        return self.site.call("run")


@dataclass
class Peer:
    """Another tool, in a venv of its own, that copies a site's source into a database of its own."""

    site: Site
    environment: Path
    name: str = ""
    payments: str = "peer.payment"

    def __post_init__(self) -> None:
        drop_database(self.site.server, self.database)
        self.site.server.create_database(self.database)

    @property
    def database(self) -> str:
        """Name the database that it copies into."""
        return f"{self.site.name}_{self.name}"

    @property
    def target(self) -> str:
        """Give the URL of the database that it copies into."""
        return tcp_like(self.site.server.url(self.database))

    @cached_property
    def source(self) -> str:
        """Give the URL of the source."""
        return tcp_like(self.site.server.url(self.site.name))

    @property
    def folder(self) -> Path:
        """Give the place for what it keeps between two runs."""
        return self.site.directory / self.database


@dataclass
class Dlt(Peer):
    """dlt with ConnectorX, Parquet and ADBC (`dlt_pipeline.py`)."""

    name: str = "dlt"

    def run(self) -> Measured:
        """Replace all tables the first time, later merge what the cursor finds."""
        quiet = ["env", "RUNTIME__DLTHUB_TELEMETRY=false", "RUNTIME__LOG_LEVEL=ERROR"]
        command = [*quiet, str(self.environment / "bin" / "python"), str(HERE / "dlt_pipeline.py")]
        return run_process([*command, self.source, self.target, str(self.folder), *TABLES])[0]


@dataclass
class Ingestr(Peer):
    """ingestr, which copies one table with each command and leaves it to its caller to know the last run."""

    name: str = "ingestr"
    last: datetime | None = field(default=None)

    def run(self) -> Measured:
        """Replace all tables the first time, later merge what was stamped since the run before began."""
        with psycopg.connect(self.source) as connection:
            (now,) = connection.execute(NOW.encode()).fetchone() or (None,)
        parts = [run_process(self._command(table))[0] for table in TABLES]
        self.last = now
        return added(parts)

    def _command(self, table: str) -> list[str]:
        flags = {
            "source-uri": self.source,
            "source-table": f"public.{table}",
            "dest-uri": self.target,
            "dest-table": f"peer.{table}",
            "primary-key": f"{table}_id",
            "progress": "log",
        }
        if self.last:
            flags |= {"incremental-strategy": "merge", "incremental-key": "last_updated"}
            flags |= {"interval-start": f"{self.last:%Y-%m-%dT%H:%M:%S.%f}"}
        # There is nobody to hear of the run.
        command = [
            "env",
            "INGESTR_DISABLE_TELEMETRY=true",
            str(self.environment / "bin" / "ingestr"),
            "ingest",
            "--yes",
        ]
        return [*command, *(f"--{name}={value}" for name, value in flags.items())]


PEERS = {"dlt": Dlt, "ingestr": Ingestr}


def tcp_like(url: str) -> str:
    """Write the URL of a server on a socket so that tools can read it which expect a host and a password."""
    parts = urlsplit(url)
    return f"postgresql://{parts.username}:none@localhost:5432{parts.path}?{parts.query.partition('&')[0]}"


def install(name: str, directory: Path) -> Path:
    """Make a venv with one peer in it, by its pinned requirements.

    Raises:
        FailedError: pip could not install it; pip says why on stderr.
    """
    environment = directory / f"venv-{name}"
    venv.create(environment, with_pip=True, clear=True)
    requirements = REQUIREMENTS / f"peer-{name}.txt"
    pip = [str(environment / "bin" / "python"), "-m", "pip", "--quiet", "--disable-pip-version-check", "install"]
    done = subprocess.run([*pip, "--require-hashes", "-r", str(requirements)], check=False)  # noqa: S603 -- our own
    if done.returncode:
        raise FailedError(f"pip could not install requirements/peer-{name}.txt and ended with {done.returncode}")
    return environment


def version_of(name: str) -> str:
    """Give the version that the requirements pin."""
    lines = (REQUIREMENTS / f"peer-{name}.txt").read_text(encoding="utf-8").splitlines()
    return next(line.split()[0].partition("==")[2] for line in lines if line.startswith(f"{name}=="))


def compare(sites: Sequence[Site], directory: Path, repeat: int, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure Tidemark and its peers at each site; count at the first one what each lacks."""
    missing: dict[str, str] = {}
    environments = {}
    for name in PEERS:
        say(f"installing {name} {version_of(name)}")
        try:
            environments[name] = install(name, directory)
        except FailedError as exc:
            missing[name] = str(exc)
            say(f"{name} is missing: {exc}")
    sizes: dict[str, Any] = {}
    lacks: dict[str, dict[str, int]] = {}
    for site in sites:
        say(f"{site.scale:g} times the real size: fill")
        rows = site.fill()
        tools: list[Tool] = [Tidemark(site)]
        tools += [PEERS[name](site, environment) for name, environment in environments.items() if name not in missing]
        measured = _measure(site, tools, repeat, missing, say)
        sizes[f"{site.scale:g}"] = {"rows": rows, **measured}
        if site is sites[0]:
            say("what each lacks")
            lacks = _lacks(site, [tool for tool in tools if tool.name not in missing])
        site.drop()
        for tool in tools[1:]:
            drop_database(site.server, f"{site.name}_{tool.name}")
    versions = {name: version_of(name) for name in PEERS}
    load = round(os.getloadavg()[0], 1)
    return {"versions": versions, "missing": missing, "sizes": sizes, "lacks": lacks, "load": load}


def _measure(
    site: Site, tools: list[Tool], repeat: int, missing: dict[str, str], say: Callable[[str], None]
) -> dict[str, dict[str, Measured]]:
    """Measure a full load, and increments of which each tool takes the same changes, each time another tool first."""
    full: dict[str, Measured] = {}
    runs: dict[str, list[Measured]] = {}
    for turn in range(repeat + 1):
        if turn:
            site.change()
        for tool in [*tools[turn % len(tools) :], *tools[: turn % len(tools)]]:
            if tool.name in missing:
                continue
            say(f"{tool.name}: {'an increment' if turn else 'full load'}")
            server_is_calm(site.server)
            try:
                done = tool.run()
            except FailedError as exc:
                missing[tool.name] = f"it failed at {site.scale:g} times the real size"
                say(f"{tool.name} failed: {exc}")
                continue
            if turn:
                runs.setdefault(tool.name, []).append(done)
            else:
                full[tool.name] = done
                _vacuum(tool.target)
    names = [tool.name for tool in tools if tool.name not in missing]
    return {"full": {name: full[name] for name in names}, "increment": {name: median(runs[name]) for name in names}}


def _lacks(site: Site, tools: Sequence[Tool]) -> dict[str, dict[str, int]]:
    """Change rows in three ways that a cursor overlooks; count for each tool the rows that it then has wrong."""
    url = site.server.url(site.name)
    with psycopg.connect(url, autocommit=True) as connection, psycopg.connect(url) as late:
        found = connection.execute("select payment_id from payment order by payment_id limit %s", [4 * CASE_ROWS])
        keys = [key for (key,) in found]
        late_keys, deleted, unstamped, others = (keys[at::4] for at in range(4))
        late.execute(EDIT.encode(), [late_keys])
        # It is stamped later and committed earlier, so every cursor passes over what is not committed yet.
        connection.execute(EDIT.encode(), [others])
        _run_all(tools)
        late.commit()
        connection.execute(DELETE.encode(), [deleted])
        connection.execute(EDIT_UNSTAMPED.encode(), [unstamped])
        _run_all(tools)
        cases = dict(zip(CASES, (late_keys, deleted, unstamped), strict=True))
        expected = {name: _payments(connection, "payment", case) for name, case in cases.items()}
    lacks: dict[str, dict[str, int]] = {}
    for tool in tools:
        with psycopg.connect(tool.target) as connection:
            for name, case in cases.items():
                got = _payments(connection, tool.payments, case)
                wrong = sum(expected[name].get(key) != got.get(key) for key in case)
                lacks.setdefault(name, {})[tool.name] = wrong
    return lacks


def _run_all(tools: Sequence[Tool]) -> None:
    for tool in tools:
        tool.run()


def _payments(connection: psycopg.Connection, table: str, keys: Sequence[int]) -> Mapping[int, object]:
    query = sql.SQL("select payment_id, payment_amount from {} where payment_id = any(%s)")
    return dict(connection.execute(query.format(sql.Identifier(*table.split("."))), [list(keys)]).fetchall())


def _vacuum(url: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("vacuum analyze")
