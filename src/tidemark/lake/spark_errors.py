"""What Spark raises, in Tidemark's families: by Spark Connect's states, and by the Java of a Spark in this process."""

import re
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tidemark.disclosure import without_values
from tidemark.errors import ConfigError, DataError, TransientError
from tidemark.extras import needed_for

WHERE = "tidemark model check --engine spark says more, and TIDEMARK_ENGINE=duckdb does without Spark"
# The states of gRPC that say nothing of the SELECT: the engine is gone, has no room, or has begun anew.
GONE = {"ABORTED", "CANCELLED", "DEADLINE_EXCEEDED", "RESOURCE_EXHAUSTED", "UNAVAILABLE"}
REFUSED = {"PERMISSION_DENIED", "UNAUTHENTICATED"}
# Spark's own words for a session that another engine at the same address does not know.
LOST = ("INVALID_HANDLE", "SESSION_CLOSED", "SESSION_NOT_FOUND", "OPERATION_NOT_FOUND")
HOW_TO_BE_LET_IN = "check the token: in TIDEMARK_ENGINE, or in the secret that TIDEMARK_ENGINE_SECRET names"
CAUSE = re.compile(r"^(?:Caused by)?: (.*)$", re.MULTILINE)


@contextmanager
def translated(
    what: str, family: type[ConfigError | DataError], said: str, has_stopped: Callable[[], bool] = lambda: False
) -> Iterator[None]:
    """Give what Spark raises as an error of a family, or as a TransientError if Spark is gone.

    Args:
        what: how a message calls the engine.
        family: what the error is where the engine is there.
        said: what it does, after its name.
        has_stopped: says after an error whether the engine has stopped, where nothing else says so.
    """
    with needed_for("spark"):
        from pyspark.errors import PySparkException  # noqa: PLC0415 -- an extra

    raised: tuple[type[Exception], ...] = (PySparkException, *_java_errors())
    try:
        with without_words_of_its_end():
            yield
    except raised as exc:
        known = _gone(exc, what, has_stopped) or _refused(exc, what)
        raise known or family(f"{what} {said}: {_shown(exc)}", advice=WHERE) from exc


@contextmanager
def without_words_of_its_end() -> Iterator[None]:
    """Keep PySpark from warning that an engine is gone: an error says so, or Tidemark has ended it."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"\[RETRIES_EXCEEDED\]")
        yield


def _java_errors() -> tuple[type[Exception], ...]:
    """Give what is raised beside PySpark's own errors where Spark's Java is a child of this process."""
    try:
        from py4j.protocol import Py4JError  # noqa: PLC0415 -- it comes with such a Spark
    except ModuleNotFoundError:
        return ()
    return (Py4JError, ConnectionError)


def _gone(exc: Exception, what: str, has_stopped: Callable[[], bool]) -> TransientError | None:
    """Say that the engine is gone if an error means that, by the state of gRPC or because Java gives no answer."""
    code = _code_of(exc)
    if isinstance(exc, _java_errors()) and not hasattr(exc, "java_exception"):
        said = "its Java does not answer"
    elif code in GONE or any(word in str(exc) for word in LOST):
        said = code.lower() or _shown(exc)
    elif has_stopped():
        said = "it was stopped"
    else:
        return None
    return TransientError(f"{what} is gone: {said}", advice="run it again")


def _refused(exc: Exception, what: str) -> ConfigError | None:
    if _code_of(exc) not in REFUSED:
        return None
    return ConfigError(f"{what} refuses us: {_shown(exc)}", advice=HOW_TO_BE_LET_IN)


def _code_of(exc: Exception) -> str:
    return str(getattr(getattr(exc, "getGrpcStatusCode", lambda: None)(), "name", ""))


def _shown(exc: Exception) -> str:
    """Give the line that says why. Below an error of Java's come its causes, the last of which is the first."""
    text = str(exc).strip()
    causes = CAUSE.findall(text) if hasattr(exc, "java_exception") else []
    return " ".join(without_values(causes[-1] if causes else text.partition("\n")[0]).split())
