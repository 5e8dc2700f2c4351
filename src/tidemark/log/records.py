"""Records: the JSON that Tidemark writes about its own work, and the number of its format.

They are the manifests of log and star and the records of rebuilds. A record keeps its format for ever. So a Tidemark
that meets a higher number than its own must not guess what the record means.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from tidemark.errors import StateError

FORMAT = 1
Record = TypeVar("Record")


def read_record(body: bytes, what: str, make: Callable[[dict[str, Any]], Record], **facts: object) -> Record:
    """Read a record.

    Args:
        body: its JSON.
        what: the record in the words of a message.
        make: makes the record from what the JSON holds; it raises ValueError, KeyError or TypeError if that is none.
        facts: the facts of an error.

    Raises:
        StateError: a newer Tidemark wrote it, or it is no such record.
    """
    try:
        content = json.loads(body)
        _require_known(content["format"], what, facts)
        return make(content)
    except (ValueError, KeyError, TypeError) as exc:
        message = f"{what} cannot be read: {exc}"
        raise StateError(message, advice="restore it from the bucket's older versions", **facts) from exc


def _require_known(form: object, what: str, facts: Mapping[str, object]) -> None:
    if isinstance(form, int) and form > FORMAT:
        message = f"{what} is in format {form}, and this Tidemark knows no format after {FORMAT}"
        advice = "a newer Tidemark wrote it: upgrade this one, wherever it runs"
        raise StateError(message, advice=advice, **facts)
    if form != FORMAT:
        raise ValueError(f"expected format {FORMAT}, got {form!r}")
