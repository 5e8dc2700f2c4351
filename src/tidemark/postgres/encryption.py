"""Encryption: whether a connection leaves this machine, and what its server then has to offer and to prove.

A URL, a service file and the PG* variables all have a say in where libpq connects to and how. So libpq itself is asked.
"""

import re
from collections.abc import Mapping
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import psycopg
from psycopg import pq
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tidemark.errors import ConfigError

# libpq's default: use TLS if the server offers it, and do without TLS if somebody hides that offer.
LIBPQ_SSLMODE = "prefer"
# libpq puts its parameters together only on the way to a server. It checks them before it looks for an address, this
# one nearly at the end, and with a wrong value it goes no further.
LAST_CHECKED = "target_session_attrs"
# A host that begins like these is a socket: a path, or a name among the abstract ones.
SOCKET = ("/", "@")
NO_TLS = "server does not support SSL"
# What libpq says of a server whose certificate it does not accept, and what to do.
UNPROVEN = {
    r"does not match host name|get server's host name|host name must be specified": (
        "write the server's name in the URL as its certificate has it; the address to connect to can stand beside it, "
        "as ?hostaddr=…"
    ),
    r"certificate verify failed": (
        "the certificate has expired, or it is signed by none of {authorities}; this shows which: "
        "openssl s_client -starttls postgres -connect {place}{file}. "
        "Renew it, or set TIDEMARK_SSLROOTCERT (or sslrootcert in the URL) to the certificate of its authority"
    ),
    r"root certificate|root\.crt": (
        "set TIDEMARK_SSLROOTCERT (or sslrootcert in the URL) to a file of PEM certificates, or to system"
    ),
}


def resolved(url: str) -> dict[str, str]:
    """Give the parameters with which libpq would connect: of URL, service file and PG* variables, and its defaults.

    Raises:
        ConfigError: libpq does not take them, such as the name of a service that is not there.
        psycopg.ProgrammingError: the URL cannot be read.
    """
    attempt = pq.PGconn.connect_start(make_conninfo(url, target_session_attrs="none").encode())
    try:
        found = {each.keyword.decode(): each.val.decode() for each in attempt.info if each.val is not None}
        said = attempt.error_message.decode("utf-8", "replace").strip()
    finally:
        attempt.finish()
    if LAST_CHECKED not in said:
        message = f"libpq does not take the URL of a database, or what its variables add to it: {said}"
        raise ConfigError(message, advice="correct the URL, the service file, or the variable (PGSERVICE, PGHOST, …)")
    return found


def named_elsewhere(url: str) -> str:
    """Give the hosts of a URL that does not begin with one: those of its query, a service or libpq's variables."""
    try:
        parameters = resolved(url)
    except (ConfigError, psycopg.ProgrammingError):
        return ""
    hosts = (parameters.get("host") or parameters.get("hostaddr", "")).split(",")
    return ",".join(host for host in hosts if host and not host.startswith(SOCKET))


def stays_here(parameters: Mapping[str, str]) -> bool:
    """Say whether a connection stays on this machine: neither the name nor the address of any host leads elsewhere.

    libpq connects to `hostaddr` where there is one. The name beside it counts as well, since who gives another
    machine's name means that machine, and the address may be that of a tunnel.
    """
    hosts = [parameters.get(name, "") for name in ("host", "hostaddr")]
    return all(is_local(host) for listed in hosts for host in listed.split(","))


def is_local(host: str) -> bool:
    """Say whether a host of a connection is this machine: a socket, or an address that never leaves it."""
    if not host or host.startswith(SOCKET) or host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def demanded_encryption(url: str) -> dict[str, Any]:
    """Give what to add to a URL so that the connection is encrypted: `sslmode`, unless somebody has chosen one.

    Nothing is added if the connection stays on this machine, or if it would weaken what a service file, libpq's
    variables or a root certificate demand.
    """
    try:
        parameters = resolved(url)
    except psycopg.ProgrammingError:
        # Connecting raises the same error, and there it is translated.
        return {}
    is_chosen = "sslmode" in conninfo_to_dict(url) or parameters.get("sslmode") != LIBPQ_SSLMODE
    # With the system's certificates, libpq accepts nothing weaker than verify-full.
    if is_chosen or parameters.get("sslrootcert") == "system" or stays_here(parameters):
        return {}
    return {"sslmode": "require"}


def proven_by(url: str, sslrootcert: str) -> str:
    """Add to a URL that its server must prove its identity by these certificates, unless it is on this machine.

    What the URL itself says about encryption stays.

    Raises:
        ConfigError: there is no such file; libpq would report this only as a connection that failed.
    """
    if sslrootcert != "system" and not Path(sslrootcert).is_file():
        message = f"expected a file with the certificates of authorities, got {sslrootcert!r}, which is no file"
        advice = "set TIDEMARK_SSLROOTCERT or --sslrootcert; `system` means the certificates that this machine trusts"
        raise ConfigError(message, advice=advice)
    if stays_here(resolved(url)):
        return url
    given = conninfo_to_dict(url)
    added = {"sslmode": "verify-full", "sslrootcert": sslrootcert}
    missing = {name: value for name, value in added.items() if name not in given}
    return f"{url}{'&' if '?' in url else '?'}{urlencode(missing)}" if missing else url


def advice_on_certificate(url: str, said: str) -> str:
    """Say what to do about a server whose certificate libpq does not accept; empty if that is not what libpq says."""
    for words, advice in UNPROVEN.items():
        if re.search(words, said):
            parameters = resolved(url)
            host, port = parameters.get("hostaddr") or parameters.get("host", ""), parameters.get("port", "")
            file = parameters.get("sslrootcert", "~/.postgresql/root.crt")
            is_file = file != "system"
            return advice.format(
                authorities=f"those in {file}" if is_file else "those that this machine trusts",
                place=f"{host.split(',')[0]}:{port.split(',')[0]}",
                file=f" -CAfile {file}" if is_file else "",
            )
    return ""
