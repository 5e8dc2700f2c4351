"""The webhook: an address that is told, by one HTTP POST of a JSON document, of a failure and of the recovery from it.

The address is a secret, so no message has any part of it. What goes wrong here is a warning and changes nothing else.
"""

import json
import logging
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from threading import Thread

from tidemark.errors import TidemarkError, TransientError
from tidemark.objects import ObjectExistsError, Objects
from tidemark.runs.announcing import ANNOUNCED, Announcement, Subject, due, message
from tidemark.runs.run import Run

logger = logging.getLogger(__name__)
PATIENCE_SECONDS = 3.0
SLACK_SECONDS = 5.0
ATTEMPTS = 2
FOLDER = "announced/"
MOST_KEPT = 10


@dataclass(frozen=True)
class Webhook:
    """Who tells a webhook of runs.

    `url` gives the address, and `place` the objects beside the pointer with the beginning of their keys; either may
    raise a TidemarkError. There lies what was told: so runs of one pipeline know of each other, in other processes too.
    """

    url: Callable[[], str]
    place: Callable[[], tuple[Objects, str]]
    subject: Subject
    clock: Callable[[], datetime]

    def told(self, run: Run) -> str:
        """Tell what is to be told of a run; return what was told, `failure` or `recovery`, else an empty text."""
        try:
            return self._told(run)
        except TidemarkError as exc:
            logger.warning("the webhook was not told of this run: %s", exc.message)
        except Exception as exc:  # noqa: BLE001 -- a run that went well must not end by this; a text might name the address
            logger.warning("the webhook was not told of this run: %s", type(exc).__name__)
        return ""

    def _told(self, run: Run) -> str:
        if run.command != ANNOUNCED:
            return ""
        objects, beginning = self.place()
        folder = f"{beginning}{FOLDER}"
        keys = [each.key for each in objects.list(folder)]
        last = Announcement.decode(objects.get(keys[-1])) if keys else None
        announcement = due(run, last, self.clock())
        if announcement is None:
            return ""
        key = f"{folder}{announcement.number:010}.json"
        try:
            # Whoever puts it first tells it.
            objects.put_new(key, announcement.encode(run.id).encode())
        except ObjectExistsError:
            return ""
        try:
            post(self.url(), message(announcement.event, run, self.subject))
        except BaseException:
            # The next run tries again.
            objects.delete([key])
            raise
        objects.delete(keys[: -MOST_KEPT + 1])
        return announcement.event


def post(
    url: str,
    document: Mapping[str, object],
    *,
    patience_seconds: float = PATIENCE_SECONDS,
    slack_seconds: float = SLACK_SECONDS,
) -> None:
    """Post a document, twice at most.

    Args:
        url: the address.
        document: what is posted, as JSON.
        patience_seconds: how long an attempt waits for the connection, and for each part of the answer.
        slack_seconds: how much longer than that both attempts may take together.

    Raises:
        TransientError: nobody took it, or not within the time of both attempts.
    """
    failures: list[Exception] = []

    def attempt() -> None:
        try:
            _post(url, document, patience_seconds)
        except Exception as exc:  # noqa: BLE001 -- it is raised again by whoever waits
            failures.append(exc)

    # A receiver that sends a byte now and then is always in time by the socket's own clock.
    thread = Thread(target=attempt, name="tidemark webhook", daemon=True)
    thread.start()
    thread.join(ATTEMPTS * patience_seconds + slack_seconds)
    if thread.is_alive():
        raise TransientError("it does not finish its answer", advice="check TIDEMARK_WEBHOOK_URL")
    for failure in failures:
        raise failure


def _post(url: str, document: Mapping[str, object], patience_seconds: float) -> None:
    body = json.dumps(document).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "tidemark"}
    problem = ""
    for _ in range(ATTEMPTS):
        # The scheme is checked where the setting is read, and the opener knows no other.
        request = urllib.request.Request(url, body, headers, method="POST")  # noqa: S310
        try:
            with _opener().open(request, timeout=patience_seconds):
                return
        except urllib.error.HTTPError as exc:
            with exc:
                problem = f"it answers {exc.code} {_phrase(exc.code)}"
            if exc.code < HTTPStatus.INTERNAL_SERVER_ERROR and exc.code != HTTPStatus.TOO_MANY_REQUESTS:
                break
        except (OSError, ValueError) as exc:
            problem = f"it cannot be reached: {_reason(exc)}"
    raise TransientError(problem, advice="check TIDEMARK_WEBHOOK_URL")


def _opener() -> urllib.request.OpenerDirector:
    """Make an opener that follows no redirect, since that might lead anywhere."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
    ):
        opener.add_handler(handler)
    return opener


def _phrase(code: int) -> str:
    try:
        return HTTPStatus(code).phrase
    except ValueError:
        return ""


def _reason(exc: Exception) -> str:
    """Name an error without its text, which might quote the address."""
    inner = exc.reason if isinstance(exc, urllib.error.URLError) else exc
    return type(inner).__name__
