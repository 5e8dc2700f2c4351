"""The sums of latest: an object that says what the rows of latest add up to, so that a poll need not read them.

It is a cache, like the pointer, which names it: only the sums that a pointer names count, and only as of its batch. The
key has the digest of the bytes, so that an object that was altered or cut short counts as none.
"""

import hashlib
import logging
from collections.abc import Iterable
from datetime import datetime

from tidemark.disclosure import told
from tidemark.errors import ConfigError
from tidemark.faults import effect
from tidemark.log.changelog import DIGITS
from tidemark.objects import ObjectExistsError, ObjectMissingError, Objects

logger = logging.getLogger(__name__)
FOLDER = "sums/"
DIGEST_LETTERS = 32


def read_sums(objects: Objects, key: str) -> bytes | None:
    """Give the bytes of the sums that the pointer names; None if they are gone, or are others."""
    if not key.startswith(FOLDER):
        return None
    try:
        body = objects.get(key)
    except ObjectMissingError:
        # A run was killed, or another run at the same time went on from there.
        return None
    if key.endswith(f"-{_digest(body)}.json"):
        return body
    logger.warning("%s was altered: this poll adds up the rows of latest instead", objects.url(key))
    _drop(objects, [key])
    return None


def replace_sums(objects: Objects, batch: int, body: bytes, before: str | None) -> str | None:
    """Put the sums of latest as of a batch, remove those before, and give the new key; None if we have no right to.

    A run that is killed before the pointer names the new ones costs the next poll the reading of latest.
    """
    key = f"{FOLDER}{batch:0{DIGITS}d}-{_digest(body)}.json"
    try:
        with effect("sums"):
            objects.put_new(key, body)
    except (ConfigError, ObjectExistsError) as exc:
        logger.warning("the sums of latest cannot be kept, so each poll reads latest whole: %s", told(exc))
        return None
    if before and before != key:
        _drop(objects, [before])
    return key


def drop_sums(objects: Objects) -> None:
    """Remove all sums, because the rows of latest are about to become others."""
    _drop(objects, [each.key for each in objects.list(FOLDER)])


def drop_old_sums(objects: Objects, cutoff: datetime, *, dry_run: bool = False) -> int:
    """Remove sums that a lost pointer or a killed run left, and return how many.

    Those of the newest batch stay, since a pointer may name them, and so do those that are younger than the cutoff.
    """
    found = sorted(objects.list(FOLDER), key=lambda each: (each.key[: len(FOLDER) + DIGITS], each.last_modified))
    old = [each.key for each in found[:-1] if each.last_modified < cutoff]
    if old and not dry_run:
        _drop(objects, old)
    return len(old)


def _drop(objects: Objects, keys: Iterable[str]) -> None:
    try:
        with effect("old-sums"):
            objects.delete(keys)
    except ConfigError as exc:
        logger.warning("old sums of latest stay where they are: %s", told(exc))


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()[:DIGEST_LETTERS]
