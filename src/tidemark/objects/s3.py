"""Keep objects in S3.

This module uses boto3 and not obstore. obstore has one error for a refused connection, for missing credentials and for
the listing of a missing bucket, and only its text tells them apart. It also reads a file into memory to put it on a
condition.
"""

import time
from collections.abc import Iterator
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import BinaryIO

from botocore.exceptions import ClientError, HTTPClientError, IncompleteReadError

from tidemark.errors import ConfigError, TransientError
from tidemark.objects.aws_client import aws_errors, error_code, frozen_credentials, open_client, open_session
from tidemark.objects.base import CHUNK_BYTES, ObjectMeta, Objects, checked


class S3Objects(Objects):
    """Keep each object in an S3 bucket, under a prefix or none."""

    _CONFLICTS = 5
    _BROKEN_STREAMS = 3
    _DELETE_LIMIT = 1000

    def __init__(self, bucket: str, prefix: str) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._session = open_session()
        self._client = open_client(self._session, "s3")

    def local_path(self, key: str) -> None:
        """Return None: nothing on S3 can be read in place."""
        checked(key)

    def url(self, key: str) -> str:
        """Return the object's `s3://` URL."""
        return f"{self.root}{checked(key)}"

    @property
    def root(self) -> str:
        """Return the URL that all objects' URLs begin with."""
        return f"s3://{self._bucket}/{self._prefix}"

    def places(self) -> list[str]:
        """Return the URL that all objects' URLs begin with."""
        return [self.root]

    def storage_options(self) -> dict[str, str]:
        """Return endpoint, region and credentials as boto3 found them, so that delta-rs reaches the same bucket."""
        credentials = frozen_credentials(self._session)
        meta = self._client.meta
        options = {
            "aws_access_key_id": credentials.access_key,
            "aws_secret_access_key": credentials.secret_key,
            "aws_session_token": credentials.token,
            "aws_region": "us-east-1" if meta.region_name == "aws-global" else meta.region_name,
            "aws_endpoint_url": meta.endpoint_url,
            "aws_allow_http": str(meta.endpoint_url.startswith("http://")).lower(),
            "aws_conditional_put": "etag",
        }
        return {name: value for name, value in options.items() if value}

    def get_range(self, key: str, start: int, end: int) -> bytes:
        """Return the object's bytes from `start` up to but not including `end`."""
        with self._errors():
            answer = self._client.get_object(**self._address(checked(key)), Range=f"bytes={start}-{end - 1}")
            body: bytes = answer["Body"].read()
        return body

    def get_end(self, key: str, length: int) -> tuple[int, bytes]:
        """Return the object's size and its last bytes, `length` of them at most, or raise `ObjectMissingError`."""
        with self._errors():
            try:
                answer = self._client.get_object(**self._address(checked(key)), Range=f"bytes=-{length}")
                body: bytes = answer["Body"].read()
            except ClientError as exc:
                if error_code(exc) == "NoSuchKey":
                    raise self._missing(key) from exc
                # S3's answer about an object of no bytes.
                if error_code(exc) != "InvalidRange":
                    raise
                return 0, b""
        # A server that answers with the whole object does not say which part that is.
        size = answer.get("ContentRange", "").rpartition("/")[2] or len(body)
        return int(size), body

    def upload(self, key: str, path: Path) -> None:
        """Put a scratch file of any size, in parts; its key is new, and nobody asks whether the object is there."""
        with self._errors(), path.open("rb") as file:
            self._client.upload_fileobj(file, self._bucket, self._prefix + checked(key))

    def remove_folder(self, key: str, before: datetime | None = None, *, dry_run: bool = False) -> int:
        """Remove what lies below a folder, also what other programs put there to show directories, and count it.

        Args:
            key: the folder.
            before: remove only what was last changed before this moment.
            dry_run: only count.
        """
        found = [
            each.key
            for each in self._found(f"{checked(key)}/", "", limit=1000)
            if before is None or each.last_modified < before
        ]
        if not dry_run:
            self._delete(iter(found))
        return len(found)

    def _create(self, key: str, body: bytes) -> bool:
        return self._put(key, body)

    def _create_from_file(self, key: str, path: Path) -> bool:
        with path.open("rb") as file:
            return self._put(key, file)

    def _replace(self, key: str, body: bytes, media_type: str) -> None:
        with self._errors():
            # Whoever keeps the link is to see the newest page.
            self._client.put_object(
                **self._address(key), Body=body, ContentType=media_type, CacheControl="private, no-cache"
            )

    def _put(self, key: str, body: bytes | BinaryIO) -> bool:
        for conflict in range(self._CONFLICTS):
            if not isinstance(body, bytes):
                body.seek(0)
            with self._errors():
                try:
                    self._client.put_object(**self._address(key), Body=body, IfNoneMatch="*")
                except ClientError as exc:
                    if error_code(exc) == "PreconditionFailed":
                        return False
                    # S3's word for "another put of this key is under way"; botocore does not retry it.
                    if error_code(exc) != "ConditionalRequestConflict" or conflict + 1 == self._CONFLICTS:
                        raise
                else:
                    return True
            time.sleep(2**conflict / 10)
        raise AssertionError

    def _chunks(self, key: str) -> Iterator[bytes]:
        done_bytes = broken = 0
        with self._errors():
            while True:
                rest = {"Range": f"bytes={done_bytes}-"} if done_bytes else {}
                try:
                    body = self._client.get_object(**self._address(key), **rest)["Body"]
                    for chunk in body.iter_chunks(CHUNK_BYTES):
                        done_bytes += len(chunk)
                        yield chunk
                except ClientError as exc:
                    if error_code(exc) == "NoSuchKey":
                        raise self._missing(key) from exc
                    raise
                except (HTTPClientError, IncompleteReadError):
                    # botocore retries requests, but not the reading of an answer that breaks off.
                    broken += 1
                    if broken == self._BROKEN_STREAMS:
                        raise
                else:
                    return

    def _find(self, key: str) -> ObjectMeta | None:
        # This lists, because a HEAD's 404 has no body to tell a missing object from a missing bucket. The key itself
        # comes first among all keys that start with it.
        first = next(self._list(key, "", limit=1), None)
        return first if first and first.key == key else None

    def _list(self, prefix: str, start_after: str, *, limit: int = 1000) -> Iterator[ObjectMeta]:
        # A key with a slash at its end is how the console of S3 shows a directory.
        return (each for each in self._found(prefix, start_after, limit=limit) if not each.key.endswith("/"))

    def _found(self, prefix: str, start_after: str, *, limit: int) -> Iterator[ObjectMeta]:
        request = {"Bucket": self._bucket, "Prefix": self._prefix + prefix, "MaxKeys": limit}
        if start_after:
            request["StartAfter"] = self._prefix + start_after
        with self._errors():
            for page in self._client.get_paginator("list_objects_v2").paginate(**request):
                for found in page.get("Contents", ()):
                    key = found["Key"].removeprefix(self._prefix)
                    yield ObjectMeta(key, found["Size"], found["LastModified"].astimezone(UTC))

    def _delete(self, keys: Iterator[str]) -> None:
        while some := tuple(islice(keys, self._DELETE_LIMIT)):
            request = {"Objects": [{"Key": self._prefix + key} for key in some], "Quiet": True}
            with self._errors():
                failed = self._client.delete_objects(Bucket=self._bucket, Delete=request).get("Errors", ())
            for failure in failed:
                code = failure.get("Code", "")
                message = f"s3://{self._bucket}/{failure['Key']} could not be deleted: {failure.get('Message', code)}"
                family = ConfigError if code == "AccessDenied" else TransientError
                raise family(message, code=code)

    def _address(self, key: str) -> dict[str, str]:
        return {"Bucket": self._bucket, "Key": self._prefix + key}

    def _errors(self) -> AbstractContextManager[None]:
        return aws_errors(f"s3://{self._bucket}")
