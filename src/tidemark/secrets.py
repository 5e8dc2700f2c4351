"""Read from Secrets Manager a database's address, in the JSON form that AWS itself uses, and the salt of masks.

The URL is made here and held in memory only. A message quotes nothing of the secret but a port that is no number.
"""

import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any
from urllib.parse import quote, urlencode

from tidemark.choosing import SHORTEST_SALT
from tidemark.engine_address import parse_engine
from tidemark.errors import ConfigError
from tidemark.objects.aws_client import aws_errors, open_client, open_session
from tidemark.settings import parse_webhook

REQUIRED = ("host", "dbname", "username", "password")
SHAPE_OF_SALT = '{"salt": …}'
SHAPE_OF_WEBHOOK = '{"url": …}'
SHAPE_OF_ENGINE = '{"url": "sc://…"}'
SHAPE = '{"host": …, "port": …, "dbname": …, "username": …, "password": …}'


def database_url(secret_id: str) -> str:
    """Return the `postgresql://` URL that a secret describes.

    Args:
        secret_id: name or ARN of a secret whose text is one JSON object; `port` (5432) and `sslmode` may be absent.

    Raises:
        ConfigError: there is no such secret, we may not read it, or it describes no database.
        TransientError: Secrets Manager is away.

    """
    return _url(secret_id, _members(secret_id, SHAPE, REQUIRED))


def mask_salt(secret_id: str) -> str:
    """Return the salt that a secret holds, whose text is one JSON object.

    Raises:
        ConfigError: there is no such secret, we may not read it, or it holds no salt.
        TransientError: Secrets Manager is away.

    """
    salt = str(_members(secret_id, SHAPE_OF_SALT, ("salt",))["salt"])
    if len(salt) < SHORTEST_SALT:
        message = f"the salt in secret {secret_id!r} is too short: expected {SHORTEST_SALT} characters or more"
        raise ConfigError(message, advice=f"write a longer one as {SHAPE_OF_SALT}", secret=secret_id)
    return salt


def webhook_url(secret_id: str) -> str:
    """Return the address of a webhook that a secret holds, whose text is one JSON object.

    Raises:
        ConfigError: there is no such secret, we may not read it, or it holds no such address.
        TransientError: Secrets Manager is away.

    """
    return _address(secret_id, SHAPE_OF_WEBHOOK, parse_webhook, "webhook")


def engine_address(secret_id: str) -> str:
    """Return the address of a Spark Connect server, with its token, that a secret holds as one JSON object.

    Raises:
        ConfigError: there is no such secret, we may not read it, or it holds no such address.
        TransientError: Secrets Manager is away.

    """
    return _address(secret_id, SHAPE_OF_ENGINE, parse_engine, "engine")


def _address(secret_id: str, shape: str, parse: Callable[[str], str], what: str) -> str:
    url = str(_members(secret_id, shape, ("url",))["url"])
    try:
        return parse(url)
    except ConfigError as exc:
        message = f"secret {secret_id!r} holds no {what}: {exc.message}"
        raise ConfigError(message, advice=f"write it as {shape}", secret=secret_id) from None


def _members(secret_id: str, shape: str, required: Sequence[str]) -> dict[str, Any]:
    client = open_client(open_session(), "secretsmanager")
    with aws_errors(f"secret {secret_id}"):
        try:
            answer = client.get_secret_value(SecretId=secret_id)
        except client.exceptions.ResourceNotFoundException as exc:
            message = f"there is no secret {secret_id!r} in this account and region, or it has no value yet"
            advice = f"check its name and AWS_REGION, or fill it by `aws secretsmanager put-secret-value` with {shape}"
            raise ConfigError(message, advice=advice, secret=secret_id) from exc
    members = None
    # The decoder's error is dropped and not kept as a cause, because it holds the whole text.
    with suppress(ValueError):
        members = json.loads(answer.get("SecretString") or "")
    if not isinstance(members, dict):
        raise ConfigError(f"secret {secret_id!r} is no JSON object", advice=f"write it as {shape}", secret=secret_id)
    missing = [name for name in required if members.get(name) in {None, ""}]
    if missing:
        message = f"secret {secret_id!r} has no {', '.join(missing)}"
        raise ConfigError(message, advice=f"write it as {shape}", secret=secret_id, missing=missing)
    return members


def _url(secret_id: str, members: dict[str, Any]) -> str:
    try:
        port = int(members.get("port") or 5432)
    except (TypeError, ValueError):
        message = f"expected a number as port in secret {secret_id!r}, got {members['port']!r}"
        raise ConfigError(message, advice=f"write it as {SHAPE}", secret=secret_id) from None
    user, password, database = (quote(str(members[name]), safe="") for name in ("username", "password", "dbname"))
    # A host may also be a socket's directory, an IPv6 address in brackets, or several hosts with commas between them.
    host = quote(str(members["host"]), safe="[]:,")
    options = {"sslmode": str(members["sslmode"])} if members.get("sslmode") else {}
    return f"postgresql://{user}:{password}@{host}:{port}/{database}{'?' * bool(options)}{urlencode(options)}"
