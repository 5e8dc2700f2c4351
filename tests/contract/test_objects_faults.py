"""What becomes of a put whose answer is lost, and of an answer that breaks off."""

import http.client
import socketserver
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from tests.support.s3 import HOST, S3
from tidemark.errors import TransientError
from tidemark.objects import ObjectExistsError, Objects, open_objects


@contextmanager
def lossy(s3: S3, method: str, times: int, share: float) -> Iterator[str]:
    """Run a server before `s3` that lets requests through, but of `times` answers to `method` only a `share`."""
    left = [times]

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _forward(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            connection = http.client.HTTPConnection(HOST, s3.port)
            connection.request(self.command, self.path, body, dict(self.headers.items()))
            answer = connection.getresponse()
            content = answer.read()
            connection.close()
            lost = self.command == method and answer.status < 300 and left[0] > 0
            if lost:
                left[0] -= 1
                self.close_connection = True
            if lost and not share:
                return
            self.send_response(answer.status)
            for name, value in answer.getheaders():
                if name.lower() in {"etag", "content-type", "content-range", "last-modified"}:
                    self.send_header(name, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content[: int(len(content) * share)] if lost else content)

        do_GET = do_PUT = do_POST = do_HEAD = _forward  # noqa: N815 -- http.server's names

        def log_message(self, *_: object) -> None:
            """Say nothing."""

    with socketserver.ThreadingTCPServer((HOST, 0), Handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://{HOST}:{server.server_address[1]}"
        finally:
            server.shutdown()


@pytest.fixture
def behind(s3: S3, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Objects]:
    """Open a bucket by way of another address."""

    def create(bucket: str, address: str) -> Objects:
        monkeypatch.setenv("AWS_ENDPOINT_URL", address)
        return open_objects(f"s3://{bucket}")

    assert s3.endpoint_url
    return create


def test_a_put_whose_answer_was_lost_has_succeeded(s3: S3, behind: Callable[[str, str], Objects]) -> None:
    bucket = s3.create_bucket()

    with lossy(s3, "PUT", 1, share=0) as address:
        behind(bucket, address).put_new("batches/0000000001.json", b"ours")

    assert behind(bucket, s3.endpoint_url).get("batches/0000000001.json") == b"ours"


def test_a_file_whose_answer_was_lost_has_arrived(
    s3: S3, behind: Callable[[str, str], Objects], tmp_path: Path
) -> None:
    bucket = s3.create_bucket()
    (tmp_path / "file").write_bytes(b"x" * 3_000_000)

    with lossy(s3, "PUT", 1, share=0) as address:
        behind(bucket, address).put_file_new("baseline/staff/20.jsonl", tmp_path / "file")

    assert behind(bucket, s3.endpoint_url).get("baseline/staff/20.jsonl") == b"x" * 3_000_000


def test_a_lost_answer_hides_no_other_put(s3: S3, behind: Callable[[str, str], Objects]) -> None:
    bucket = s3.create_bucket()
    behind(bucket, s3.endpoint_url).put_new("batches/0000000001.json", b"theirs")

    with lossy(s3, "PUT", 1, share=0) as address, pytest.raises(ObjectExistsError):
        behind(bucket, address).put_new("batches/0000000001.json", b"ours")


@pytest.mark.parametrize("times", [1, 2])
def test_an_answer_that_breaks_off_is_read_on(
    s3: S3, behind: Callable[[str, str], Objects], tmp_path: Path, times: int
) -> None:
    bucket = s3.create_bucket()
    body = bytes(range(256)) * 20_000
    behind(bucket, s3.endpoint_url).put_new("k", body)

    with lossy(s3, "GET", times, share=0.5) as address:
        behind(bucket, address).download("k", tmp_path / "copy")

    assert (tmp_path / "copy").read_bytes() == body


def test_an_answer_that_always_breaks_off_is_transient(s3: S3, behind: Callable[[str, str], Objects]) -> None:
    bucket = s3.create_bucket()
    behind(bucket, s3.endpoint_url).put_new("k", b"body" * 100_000)

    with lossy(s3, "GET", 99, share=0.5) as address, pytest.raises(TransientError, match="could not be reached"):
        behind(bucket, address).get("k")
