"""What runs a model's SELECTs, as the setting `engine` has it: an engine, or the address of a Spark Connect server.

Such an address may hold a token, which goes to nobody but the server.
"""

import re
from urllib.parse import unquote

from tidemark.errors import ConfigError

# A secret of others that can be taken out of any text; a shorter one is part of other words.
SHORTEST_SECRET = 8
LARGEST_PORT = 65_535
_ENGINES = "duckdb, sail, spark, sc://host:port[/;use_ssl=true;token=…], or auto:<rows>[:<engine>]"
_SPARK = ("sail", "spark")
_AUTO = re.compile(r"auto:(?P<changes>[1-9][0-9]{0,17})(?::(?P<engine>.+))?")
# In a value PySpark decodes %XX, and takes every other character apart from these for a part of the address.
_SPARK_CONNECT = re.compile(
    r"sc://(?P<host>[A-Za-z0-9.-]+)(?::(?P<port>[0-9]{1,5}))?"
    r"(?:/(?:;(?:use_ssl|token|user_id|x-[a-z0-9-]+)=(?:[A-Za-z0-9._~+-]|%[0-9A-Fa-f]{2})+)+)?"
)
_LOOPBACK = re.compile(r"localhost|127\.[0-9.]+")


def parse_engine(text: str) -> str:
    """Return what runs the model's SELECTs.

    Raises:
        ConfigError: nothing is called so. Such an address may hold a token, so none is shown.
    """
    if text == "duckdb":
        return text
    address = engine_from(text)[1]
    found = _SPARK_CONNECT.fullmatch(address)
    if not found:
        if address not in _SPARK:
            shown = repr(text) if text.isalnum() else "something else"
            raise ConfigError(f"expected {_ENGINES}, got {shown}")
        return text
    if int(found["port"] or 0) > LARGEST_PORT:
        raise ConfigError(f"expected a port up to {LARGEST_PORT} in the address of the engine, got {found['port']}")
    options = options_of(text)
    if options.get("use_ssl", "true") not in ("true", "false"):
        raise ConfigError("expected use_ssl=true or use_ssl=false in the address of the engine, got something else")
    secrets = secrets_in(text)
    if any(len(each) < SHORTEST_SECRET or not each.isascii() or not each.isprintable() for each in secrets):
        message = f"expected a token of {SHORTEST_SECRET} or more visible characters in the address of the engine"
        raise ConfigError(f"{message}, got another one")
    if secrets and options.get("use_ssl") != "true" and not is_loopback(address):
        raise ConfigError(
            "expected use_ssl=true beside the token in the address of the engine, got none: "
            "without TLS everybody on the way reads the token"
        )
    return text


def engine_from(text: str) -> tuple[int, str]:
    """Return from how many changes of a batch an engine runs the model's SELECTs, and the engine."""
    chosen = _AUTO.fullmatch(text)
    return (int(chosen["changes"]), chosen["engine"] or "sail") if chosen else (0, text)


def is_loopback(address: str) -> bool:
    """Say whether a Spark Connect server's address leads to this machine."""
    found = _SPARK_CONNECT.fullmatch(address)
    return bool(found and _LOOPBACK.fullmatch(found["host"]))


def options_of(address: str) -> dict[str, str]:
    """Return the options of a Spark Connect server's address by name, as PySpark reads them."""
    pairs = (each.partition("=") for each in address.split(";")[1:])
    return {name: unquote(value) for name, _, value in pairs}


def secrets_in(address: str) -> list[str]:
    """Return what is secret in a Spark Connect server's address: the token, and what goes along as headers."""
    return [value for name, value in options_of(address).items() if name == "token" or name.startswith("x-")]
