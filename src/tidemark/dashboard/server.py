"""The pages over HTTP: routes, answers to what goes wrong, and the server that listens."""

import logging
import socket
from collections.abc import AsyncIterator, Callable, Collection, Iterator
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from threading import Lock
from typing import TYPE_CHECKING

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from tidemark.dashboard.guard import Guard
from tidemark.dashboard.pages import STATIC, environment, served, served_static, static_file
from tidemark.dashboard.problem import Problem
from tidemark.dashboard.reader import Reader
from tidemark.dashboard.site import MissingPageError, Site, number_of
from tidemark.disclosure import told
from tidemark.errors import ConfigError, TidemarkError

if TYPE_CHECKING:
    from tidemark.pipeline import Pipeline

logger = logging.getLogger(__name__)
TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
# The address of a static file changes with its content.
FOR_A_YEAR = "private, max-age=31536000, immutable"
# A page in hand is finished when the server is to stop.
PATIENCE_AT_THE_END_SECONDS = 5


class Renewed:
    """Give a pipeline that is wired anew after some seconds: a secret may change, or the files of a model.

    Args:
        wire: makes a pipeline from the settings.
        every: for how long one is used.
    """

    def __init__(self, wire: "Callable[[], Pipeline]", every: timedelta = timedelta(seconds=5)) -> None:
        self._wire = wire
        self._every = every
        self._lock = Lock()
        self._made: tuple[datetime, Pipeline] | None = None

    def __call__(self) -> "Pipeline":
        """Give the pipeline."""
        with self._lock:
            now = self._made[1].clock() if self._made else None
            if self._made is None or now is None or now - self._made[0] > self._every:
                made = self._wire()
                self._made = made.clock(), made
            return self._made[1]


def make_app(wire: "Callable[[], Pipeline]", *, names: Collection[str] = (), token: str | None = None) -> Starlette:
    """Make the application; `wire` makes a pipeline from the settings, see `Guard` for the rest."""
    pipeline = Renewed(wire)
    reader = Reader(lambda: pipeline().warehouse_url)
    site = Site(pipeline, reader, environment(served, served_static, is_live=True))
    routes = [
        Route("/", _page(lambda _: site.health())),
        Route("/health/size", _page(lambda _: site.size())),
        Route("/page/{name}", _page(lambda request: site.figures(request.path_params["name"], request.query_params))),
        Route("/figure/{name:path}", _page(lambda request: _figure(site, request))),
        Route("/history", _page(lambda request: site.history(request.query_params))),
        Route("/lineage", _page(lambda request: site.lineage(request.query_params))),
        Route("/lineage/batch/{number}", _page(lambda request: _batch(site, request.path_params["number"]))),
        Route("/static/{name}", _static),
    ]
    handlers = {
        MissingPageError: lambda _, exc: _told(site, "There is no such page", Problem(str(exc)), 404),
        TidemarkError: lambda _, exc: _told(site, "That cannot be shown", Problem(exc.message, exc.advice), 200),
        HTTPException: lambda _, exc: _told(site, "There is no such page", Problem(str(exc.detail)), exc.status_code),
    }

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        reader.close()

    guard = Middleware(Guard, names=names, token=token)
    return Starlette(routes=routes, middleware=[guard], exception_handlers=handlers, lifespan=lifespan)


def listening(host: str, port: int) -> socket.socket:
    """Open a port, 0 for one that is free; ConfigError when it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    opened = socket.socket(family)
    opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        opened.bind((host, port))
        # From here on whoever asks waits until the server answers.
        opened.listen()
    except OSError as exc:
        opened.close()
        message = f"cannot listen at {host}, port {port}: {exc.strerror}"
        raise ConfigError(message, advice="give another --port or --host; port 0 means one that is free") from exc
    return opened


class Server(uvicorn.Server):
    """A server that leaves signals to whoever starts it; `should_exit` ends it after the pages in hand.

    No log names what is asked for: a URL may have the token, or values of rows.
    """

    def __init__(self, app: Starlette) -> None:
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            ws="none",
            lifespan="on",
            timeout_graceful_shutdown=PATIENCE_AT_THE_END_SECONDS,
        )
        super().__init__(config)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Capture none."""
        yield


def _page(make: Callable[[Request], str]) -> Callable[[Request], Response]:
    def answer(request: Request) -> Response:
        try:
            return HTMLResponse(make(request))
        except (TidemarkError, MissingPageError, HTTPException):
            raise
        except Exception as exc:  # noqa: BLE001 -- the last resort: a person reads the page
            return _unexpected(exc)

    return answer


def _figure(site: Site, request: Request) -> str:
    return site.figure(request.path_params["name"], request.query_params, is_part="hx-request" in request.headers)


def _batch(site: Site, text: str) -> str:
    number = number_of(text)
    if not number:
        raise HTTPException(404)
    return site.batch(number)


async def _static(request: Request) -> Response:
    # Async, so that it needs none of the threads that wait for the warehouse.
    name = request.path_params["name"]
    if name not in STATIC:
        raise HTTPException(404)
    media = TYPES[name.rpartition(".")[2]]
    return Response(static_file(name), media_type=media, headers={"cache-control": FOR_A_YEAR})


def _told(site: Site, title: str, problem: Problem, status: int) -> Response:
    return HTMLResponse(site.problem(title, problem), status_code=status)


def _unexpected(exc: Exception) -> Response:
    # Only with --verbose there is a traceback, as of any command: it may quote values of rows.
    is_verbose = logger.isEnabledFor(logging.INFO)
    logger.error(
        "a page failed unexpectedly: %s: %s", type(exc).__name__, told(exc), exc_info=exc if is_verbose else None
    )
    text = "<!doctype html><html lang=en><title>Tidemark</title><p>This page failed unexpectedly. The log says why."
    return HTMLResponse(text, status_code=500)
