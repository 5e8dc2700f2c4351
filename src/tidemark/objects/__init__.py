"""Objects in a directory or in an S3 bucket, behind the same few verbs.

Nothing is ever overwritten: a put is "only if absent", so two runs that write the same key cannot both believe that
they wrote it. The exception is what is published for people, which no run reads.

In: `s3://bucket[/prefix]` or a directory; keys, bytes and files.
Out: the same verbs for both, one error for each thing that can go wrong, and clients of AWS.
Must not know: capture, log, star, warehouse, lake, postgres.
"""

from pathlib import Path

from tidemark.errors import ConfigError
from tidemark.objects.base import ObjectExistsError, ObjectMeta, ObjectMissingError, Objects, is_key, measured
from tidemark.objects.directory import DirectoryObjects, refusal
from tidemark.objects.folders import is_open, is_shared, local_places, make_directory

__all__ = [
    "ObjectExistsError",
    "ObjectMeta",
    "ObjectMissingError",
    "Objects",
    "is_key",
    "is_open",
    "is_shared",
    "local_places",
    "make_directory",
    "measured",
    "open_objects",
    "refusal",
]


def open_objects(url: str) -> Objects:
    """Open `s3://bucket[/prefix]` or a directory, which need not exist yet; nothing is read or written."""
    scheme, separator, rest = url.partition("://")
    if not separator and url:
        return DirectoryObjects(Path(url))
    bucket, _, prefix = rest.partition("/")
    if scheme != "s3" or not bucket:
        raise ConfigError(f"expected s3://bucket[/prefix] or a directory, got {url!r}")
    # Loading boto3 takes a tenth of a second, which a run on directories does not need.
    from tidemark.objects.s3 import S3Objects  # noqa: PLC0415

    return S3Objects(bucket, prefix.strip("/"))
