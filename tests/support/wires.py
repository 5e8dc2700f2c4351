"""Proxies of our own, before PostgreSQL and before S3, that break what passes through them as a network would."""

import http.client
import select
import socket
import socketserver
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler

from psycopg.conninfo import conninfo_to_dict

from tests.support.s3 import HOST, S3

BLOCK_BYTES = 1 << 16
SSL_REQUEST_BYTES = 8
ANSWER_HEADERS = {"etag", "content-type", "content-range", "last-modified", "x-amzn-requestid"}


@dataclass
class Wire:
    """A way to a PostgreSQL server: `url` goes through it; with `breaks_after_bytes` it breaks once so many bytes came.

    `on_query` is asked for each block from the client, and breaks the connection once the block has been passed on.
    `alters` changes what the server says. With `tls` the wire speaks TLS to the client, as a server would whose
    certificate that is; the server of the tests cannot.
    """

    url: str
    breaks_after_bytes: int | None = None
    bytes_passed: int = 0
    breaks: int = 0
    on_query: Callable[[bytes], bool] = lambda _: False
    alters: Callable[[bytes], bytes] = lambda block: block
    tls: ssl.SSLContext | None = None


@contextmanager
def wire_to(url: str) -> Iterator[Wire]:
    """Open a way over TCP to a server that listens on a Unix socket."""
    parts = conninfo_to_dict(url)
    path = f"{parts['host']}/.s.PGSQL.{parts['port']}"

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with closing(socket.socket(socket.AF_UNIX)) as server, suppress(OSError):
                server.connect(path)
                with closing(_encrypted(self.request, wire.tls) if wire.tls else self.request) as client:
                    _pass_on(wire, client, server)

    with _serving(Handler) as port:
        wire = Wire(f"postgresql://{parts['user']}@{HOST}:{port}/{parts['dbname']}?sslmode=disable")
        yield wire


@dataclass
class Fault:
    """What becomes of requests to S3: `answer` is asked for each, by method and path, until it has said so `times`.

    It answers with a status (which is sent instead of S3's answer), with `lost` (S3 does it, its answer is not passed
    on), with a number of seconds to wait, or with None.
    """

    answer: Callable[[str, str], int | float | str | None] = lambda _method, _path: None
    times: int = 1 << 30
    seen: list[str] = field(default_factory=list)

    def next(self, method: str, path: str) -> int | float | str | None:
        """Say what becomes of a request."""
        found = self.answer(method, path) if self.times else None
        if found is not None:
            self.times -= 1
            self.seen.append(f"{method} {path}")
        return found


@contextmanager
def before_s3(s3: S3, fault: Fault) -> Iterator[str]:
    """Run a server before `s3` that does to requests what `fault` says, and give its address."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        # Or each answer's content waits 40 ms for the client's acknowledgement of its head.
        disable_nagle_algorithm = True

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            found = fault.next(self.command, self.path)
            if isinstance(found, int):
                self._answer(
                    found, [], b"<Error><Code>SlowDown</Code><Message>Please reduce your rate.</Message></Error>"
                )
                return
            if isinstance(found, float):
                time.sleep(found)
            with closing(http.client.HTTPConnection(HOST, s3.port)) as connection:
                connection.request(self.command, self.path, body, dict(self.headers.items()))
                answer = connection.getresponse()
                content = answer.read()
            if found == "lost":
                self.close_connection = True
                return
            self._answer(answer.status, answer.getheaders(), content)

        def _answer(self, status: int, headers: list[tuple[str, str]], content: bytes) -> None:
            self.send_response(status)
            for name, value in headers:
                if name.lower() in ANSWER_HEADERS:
                    self.send_header(name, value)
            # An answer to HEAD has no content and says how long it would be.
            known = {name.lower(): value for name, value in headers} if self.command == "HEAD" else {}
            self.send_header("Content-Length", known.get("content-length", str(len(content))))
            self.end_headers()
            self.wfile.write(content)

        do_GET = do_PUT = do_POST = do_HEAD = do_DELETE = _forward  # noqa: N815 -- http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with _serving(Handler) as port:
        yield f"http://{HOST}:{port}"


@contextmanager
def _serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[int]:
    with socketserver.ThreadingTCPServer((HOST, 0), handler) as server:
        server.daemon_threads = True
        server.block_on_close = False
        # With its default it would look only twice a second whether it is to end.
        threading.Thread(target=server.serve_forever, args=[0.02], daemon=True).start()
        try:
            yield int(server.server_address[1])
        finally:
            server.shutdown()


def _encrypted(client: socket.socket, tls: ssl.SSLContext) -> socket.socket:
    client.recv(SSL_REQUEST_BYTES, socket.MSG_WAITALL)
    client.sendall(b"S")
    return tls.wrap_socket(client, server_side=True)


def _pass_on(wire: Wire, client: socket.socket, server: socket.socket) -> None:
    while True:
        for ready in select.select([client, server], [], [])[0]:
            block = ready.recv(BLOCK_BYTES)
            if not block:
                return
            if ready is server:
                block = wire.alters(block)
                left = len(block) if wire.breaks_after_bytes is None else wire.breaks_after_bytes - wire.bytes_passed
                wire.bytes_passed += min(left, len(block))
                client.sendall(block[:left])
                if left < len(block):
                    wire.breaks += 1
                    return
                continue
            server.sendall(block)
            if wire.on_query(block):
                wire.breaks += 1
                # The server does what it was asked before it notices that nobody listens.
                server.recv(BLOCK_BYTES)
                return
