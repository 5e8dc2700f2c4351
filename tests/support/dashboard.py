"""The dashboard of a pipeline of the tests: its settings, a server on a port of its own, and what it answers."""

import http.client
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from tests.support.kept import database_of, small_totesys
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tidemark.dashboard.server import Server, listening, make_app
from tidemark.pipeline import Pipeline, wire
from tidemark.settings import Settings

if TYPE_CHECKING:
    from tests.support.kept import KeptPipelines

TIMEOUT_SECONDS = 30


@dataclass(frozen=True)
class Reply:
    """What the server answered."""

    status: int
    headers: Mapping[str, str]
    text: str


def wiring(rig: Rig, place: str | Path, **more: object) -> Callable[[], Pipeline]:
    """Give what wires the pipeline whose lake lies at `place`; `more` are settings that differ."""
    settings: dict[str, object] = {
        "source_url": rig.source_url,
        "warehouse_url": rig.warehouse_url,
        "ingestion": f"{place}/ingestion",
        "processed": f"{place}/processed",
        "pointer": f"{place}/pointer.json",
        "model": str(rig.model.directory),
    }
    return lambda: wire(Settings(**(settings | more)))  # type: ignore[arg-type]


@contextmanager
def serving(make: Callable[[], Pipeline], *, token: str | None = None) -> Iterator[str]:
    """Serve the pages of a pipeline until the block ends; give their address."""
    with listening("127.0.0.1", 0) as opened:
        server = Server(make_app(make, token=token))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [opened]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(TIMEOUT_SECONDS)


def get(address: str, path: str = "/", **headers: str) -> Reply:
    """Ask for a page; a header's name has `_` for `-`."""
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=TIMEOUT_SECONDS)
    try:
        connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
        response = connection.getresponse()
        return Reply(response.status, dict(response.getheaders()), response.read().decode())
    finally:
        connection.close()


@contextmanager
def only_asked(kept_pipelines: "KeptPipelines", postgres: Postgres, place: str, batches: int) -> Iterator[Rig]:
    """Give a pipeline of totesys with some batches, for many tests that change nothing in it."""
    rig = kept_pipelines.copy(f"totesys after {batches} batches", small_totesys(batches), place)
    yield rig
    postgres.drop(database_of(rig.warehouse_url))
