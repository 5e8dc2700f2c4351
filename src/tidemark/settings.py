"""Gather the settings from flags, environment and `tidemark.toml`, and name everything that is wrong with them at once.

Nothing else reads the environment. The AWS variables are not settings: boto3 and delta-rs read them.
"""

import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from tidemark.choosing import SHORTEST_SALT
from tidemark.engine_address import parse_engine
from tidemark.errors import ConfigError, mask_passwords

FILE = "tidemark.toml"
PREFIX = "TIDEMARK_"
# Only for tests: it ends the process at a fault point (faults.py). It is no setting, so it has neither flag nor field.
FAULT = "TIDEMARK_TEST_FAULT"

# A token of the dashboard that nobody guesses.
SHORTEST_TOKEN = 16

MOST_WORKERS = 64

# What stands for no duration at all; zero would mean "at once" to one reader and "never" to another.
OFF = "off"

_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*(us|ms|s|m|h|d)")
_COUNT = re.compile(r"[1-9][0-9]?")
_SIZE = re.compile(r"[1-9][0-9]*\s*[KMGT]i?B")
_UNITS = {"us": "microseconds", "ms": "milliseconds", "s": "seconds", "m": "minutes", "h": "hours", "d": "days"}
_URL = re.compile(r"[a-z0-9+.-]+://", re.IGNORECASE)
# Without blanks and control characters, which each reader of an address treats in its own way.
_WEBHOOK = re.compile(r"https?://[\x21-\x7e]+")
_USER_PASSWORD = re.compile(r"^([^:]*://[^:]*):.*@", re.DOTALL)
_QUERY_PASSWORD = re.compile(r"([?&](?:ssl)?password=)[^&]*", re.IGNORECASE)


def parse_duration(text: str) -> timedelta:
    """Return the length of `500ms`, `5s`, `10m`, `2h` or `1d`, or of several in a row, such as `1h30m`.

    Raises:
        ConfigError: the text is no such duration.

    """
    rest = text.strip()
    total = timedelta()
    try:
        while match := _DURATION.match(rest):
            total += timedelta(**{_UNITS[match[2]]: float(match[1])})
            rest = rest[match.end() :].lstrip()
    except OverflowError as exc:
        raise ConfigError(f"expected a shorter duration, got {text!r}") from exc
    if rest or not text.strip():
        raise ConfigError(f"expected a duration such as 500ms, 5s, 10m, 2h or 1d, got {text!r}")
    return total


def parse_moment(text: str) -> datetime:
    """Return the UTC moment of ISO 8601 text such as `2024-11-01` or `2024-11-01T12:00`; without a zone it means UTC.

    Raises:
        ConfigError: the text is no such moment.

    """
    try:
        found = datetime.fromisoformat(text)
    except ValueError as exc:
        raise ConfigError(f"expected a time such as 2024-11-01 or 2024-11-01T12:00, got {text!r}") from exc
    return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)


def mask_password(url: str) -> str:
    """Return the URL with `***` for its passwords; text that is no URL is hidden as a whole.

    A server may not accept a password with a bare `@`, `/`, `?` or `#`, but a person who reads the log would still see
    it. So everything up to the last `@` counts as the password.
    """
    if not _URL.match(url):
        return "***"
    return _QUERY_PASSWORD.sub(r"\1***", _USER_PASSWORD.sub(r"\1:***@", url))


@dataclass(frozen=True, repr=False)
class Settings:
    """Hold the settings, in the words of the documentation; what is secret in them is masked when shown."""

    source_url: str | None = None
    warehouse_url: str | None = None
    ingestion: str = ".tidemark/ingestion"
    processed: str = ".tidemark/processed"
    pointer: str = ".tidemark/pointer.json"
    source_secret: str | None = None
    warehouse_secret: str | None = None
    mask_salt: str | None = None
    mask_salt_secret: str | None = None
    model: str = "totesys"
    schemas: str = "public"
    include: str | None = None
    exclude: str | None = None
    engine: str = "duckdb"
    engine_secret: str | None = None
    lag: timedelta = field(default=timedelta(seconds=5))
    yield_after: timedelta | None = field(default=timedelta(seconds=2))
    workers: int | None = None
    memory_limit: str | None = None
    sslrootcert: str | None = None
    show_values: bool = False
    dashboard_token: str | None = None
    dashboard_page: bool = False
    freshness: timedelta = field(default=timedelta(minutes=30))
    webhook_url: str | None = None
    webhook_secret: str | None = None

    def __repr__(self) -> str:
        shown = ", ".join(f"{name}={value!r}" for name, value in self.masked().items())
        return f"Settings({shown})"

    def masked(self) -> dict[str, Any]:
        """Return the settings by name, as they may be shown and logged."""
        shown = {
            each.name: mask_password(value) if each.name.endswith(("_url", "_salt", "_token")) and value else value
            for each in fields(self)
            for value in [getattr(self, each.name)]
        }
        # Whoever knows a webhook's address may post there, so all of it is secret.
        return shown | {"webhook_url": "***" if self.webhook_url else None, "engine": mask_passwords(self.engine)}


NAMES = tuple(each.name for each in fields(Settings))
# A file may say true or false without quotes.
CHOICES = ("show_values", "dashboard_page")
# A file may list names, where a variable has commas between them.
LISTS = ("schemas", "include", "exclude")


def variable(name: str) -> str:
    """Return the environment variable of a setting."""
    return PREFIX + name.upper()


def flag(name: str) -> str:
    """Return the command-line flag of a setting."""
    return "--" + name.replace("_", "-")


def temporary_directory() -> Path | None:
    """Return where scratch files are to lie, whether or not they can be written there now; None for nowhere.

    Python's `tempfile` passes over a directory that is full, so it would look for what fills the disk anywhere else.
    """
    # The same places as tempfile's.
    named = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    places = (Path(each) for each in (*named, "/tmp", "/var/tmp") if each)  # noqa: S108 # nosec B108
    return next((place for place in places if place.is_dir()), None)


def load(flags: Mapping[str, str | None], *, environ: Mapping[str, str] | None = None, directory: Path) -> Settings:
    """Return the settings: flags win over the environment, the environment over `tidemark.toml` in the directory.

    Args:
        flags: what the command line gave, by the setting's name; None where it gave nothing.
        environ: the environment, or None for that of this process. A variable that is empty counts as not set.
        directory: where `tidemark.toml` may lie.

    Raises:
        ConfigError: its `problems` name every unknown setting and every bad value.

    """
    environ = os.environ if environ is None else environ
    problems: list[str] = []
    given: dict[str, tuple[str, str]] = {}
    for name, value in _read_file(directory / FILE, problems).items():
        _take(given, name, value, f"{name!r} in {FILE}", problems)
    for key, value in environ.items():
        if key.startswith(PREFIX) and key != FAULT and value:
            _take(given, key.removeprefix(PREFIX).lower(), value, key, problems)
    for name, value in flags.items():
        if value is not None:
            _take(given, name, value, flag(name), problems)

    values: dict[str, Any] = {}
    for name, (text, place) in given.items():
        try:
            values[name] = _PARSERS.get(name, str)(text)
        except ConfigError as exc:
            problems.append(f"{place}: {exc.message}")
    if problems:
        raise ConfigError.of(problems)
    return Settings(**values)


def standard_variable(*names: str) -> str | None:
    """Return the first of these variables that is set: they belong to libraries of others, which read them as well."""
    return next((os.environ[name] for name in names if os.environ.get(name)), None)


def armed_fault() -> str | None:
    """Return the fault point at which a test wants this process to end."""
    return os.environ.get(FAULT) or None


def _take(given: dict[str, tuple[str, str]], name: str, value: object, place: str, problems: list[str]) -> None:
    if name in CHOICES and isinstance(value, bool):
        value = str(value).lower()
    if name in LISTS and isinstance(value, list) and all(isinstance(each, str) for each in value):
        value = ",".join(value)
    if name not in NAMES:
        problems.append(f"{place} is not a setting; there are {', '.join(NAMES)}")
    elif not isinstance(value, str) or not value:
        problems.append(f"{place}: expected a text that is not empty, got {type(value).__name__}")
    elif "\x00" in value:
        problems.append(f"{place}: expected a text without the character zero, got one that has it")
    else:
        given[name] = (value, place)


def _read_file(path: Path, problems: list[str]) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as exc:
        problems.append(f"{path} cannot be read: {exc}")
    except tomllib.TOMLDecodeError as exc:
        problems.append(f"{path} is not TOML: {exc}")
    return {}


def _parse_postgres_url(text: str) -> str:
    if not text.startswith(("postgresql://", "postgres://")):
        # No part of the text is shown: it does not have the form of a URL, so nobody can tell where the password is.
        raise ConfigError("expected postgresql://user:password@host:port/database, got something else")
    try:
        urlsplit(text).port  # noqa: B018 -- reading it parses it
    except ValueError as exc:
        # The parser's own words are not shown: if a password holds a bare '/' or '@', they quote it.
        message = (
            "expected a port number after the host; a special character in user or password must be written as %XX"
        )
        raise ConfigError(message) from exc
    return text


def _parse_place(text: str) -> str:
    scheme, separator, rest = text.partition("://")
    if separator and (scheme != "s3" or not rest.partition("/")[0]):
        raise ConfigError(f"expected s3://bucket[/prefix] or a directory, got {mask_password(text)!r}")
    return text


def _parse_pointer(text: str) -> str:
    if "://" in text or (text.startswith("ssm:") and not text.startswith("ssm:/")):
        raise ConfigError(f"expected ssm:/path or a file, got {text!r}")
    return text


def _parse_salt(text: str) -> str:
    if len(text) < SHORTEST_SALT:
        raise ConfigError(f"expected a secret text of {SHORTEST_SALT} characters or more, got {len(text)}")
    return text


def _parse_token(text: str) -> str:
    if len(text) < SHORTEST_TOKEN or not text.isascii() or not text.isalnum():
        raise ConfigError(f"expected {SHORTEST_TOKEN} or more letters and digits, got {len(text)} characters")
    return text


def _parse_yield_after(text: str) -> timedelta | None:
    if text == OFF:
        return None
    try:
        found = parse_duration(text)
    except ConfigError:
        found = timedelta()
    if not found:
        raise ConfigError(f"expected a duration above zero such as 500ms or 2s, or {OFF} for never, got {text!r}")
    return found


def parse_webhook(text: str) -> str:
    """Return the address of a webhook.

    Raises:
        ConfigError: it is none; its text is a secret and is not shown.
    """
    parts = urlsplit(text)
    if not _WEBHOOK.fullmatch(text) or not parts.hostname or parts.username or parts.fragment:
        raise ConfigError("expected an address such as https://hooks.example.com/…, got something else")
    try:
        parts.port  # noqa: B018 -- as above
    except ValueError:
        raise ConfigError(
            "expected an address such as https://hooks.example.com/…, got one with a wrong port"
        ) from None
    return text


def _parse_freshness(text: str) -> timedelta:
    found = parse_duration(text)
    if not found:
        raise ConfigError(f"expected a duration above zero such as 30m, got {text!r}")
    return found


def names_in(text: str | None) -> tuple[str, ...]:
    """Return the names in a setting that lists some."""
    return tuple(each.strip() for each in text.split(",")) if text else ()


def _parse_names(text: str) -> str:
    if not all(names_in(text)):
        raise ConfigError(f"expected names with a comma between, got {text!r}")
    return text


def _parse_workers(text: str) -> int:
    if not _COUNT.fullmatch(text) or int(text) > MOST_WORKERS:
        raise ConfigError(f"expected a number from 1 to {MOST_WORKERS}, got {text!r}")
    return int(text)


def _parse_size(text: str) -> str:
    if not _SIZE.fullmatch(text):
        raise ConfigError(f"expected a size such as 256MB or 1GB, got {text!r}")
    return text


def _parse_choice(text: str) -> bool:
    if text not in ("true", "false"):
        raise ConfigError(f"expected true or false, got {text!r}")
    return text == "true"


_PARSERS: dict[str, Callable[[str], Any]] = {
    "source_url": _parse_postgres_url,
    "warehouse_url": _parse_postgres_url,
    "ingestion": _parse_place,
    "processed": _parse_place,
    "pointer": _parse_pointer,
    "engine": parse_engine,
    "mask_salt": _parse_salt,
    "dashboard_token": _parse_token,
    "lag": parse_duration,
    "yield_after": _parse_yield_after,
    "workers": _parse_workers,
    "memory_limit": _parse_size,
    "schemas": _parse_names,
    "include": _parse_names,
    "exclude": _parse_names,
    "show_values": _parse_choice,
    "dashboard_page": _parse_choice,
    "freshness": _parse_freshness,
    "webhook_url": parse_webhook,
}
