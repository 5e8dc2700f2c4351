"""An HTTP server on this machine that keeps what is posted to it."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Receiver:
    """What was posted: the paths, the headers and the bodies, and with which codes the next posts are answered."""

    url: str = ""
    posts: list[tuple[str, dict[str, str], bytes]] = field(default_factory=list)
    codes: list[int] = field(default_factory=list)

    @property
    def documents(self) -> list[Any]:
        """Read the bodies as JSON."""
        return [json.loads(body) for _, _, body in self.posts]


@contextmanager
def receiving() -> Iterator[Receiver]:
    """Listen until the block ends; each post is answered with 200, or with the next of `codes`."""
    receiver = Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            receiver.posts.append((self.path, dict(self.headers.items()), body))
            code = receiver.codes.pop(0) if receiver.codes else 200
            self.send_response(code)
            if code in {301, 302, 307, 308}:
                self.send_header("Location", f"{receiver.url}/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Print nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        receiver.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
        thread.start()
        try:
            yield receiver
        finally:
            server.shutdown()
            thread.join()
