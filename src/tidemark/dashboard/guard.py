"""Who may ask: the Host header against names that lead here by a trick, the token, and what a browser may do.

A page of another site can have its own name lead to this machine (DNS rebinding), and then read what is answered. Its
requests carry that name. So a host is taken if it is an address, which nobody can have lead elsewhere, or a known name.
"""

import hmac
from collections.abc import Collection
from ipaddress import ip_address
from urllib.parse import quote, urlencode

from markupsafe import escape
from starlette.datastructures import MutableHeaders
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

COOKIE = "tidemark_dashboard"
# The name of the parameter.
TOKEN = "token"  # noqa: S105 # nosec B105
LOOPBACK = "localhost"
HEADERS = {
    "content-security-policy": "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
# The page itself leads on: a redirect would still count as coming from the site with the link, and the browser would
# keep a strict cookie back.
ENTERED = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>Tidemark</title>
<meta http-equiv="refresh" content="0; url={url}"></head>
<body><p>The token is right. <a href="{url}">Go on to the pages</a></p></body></html>
"""
LOCKED = """this dashboard asks for a token

Open the address with ?token=… that tidemark dashboard printed when it started.
"""


class Guard:
    """Let a request pass that names a host which is ours and, if there is a token, knows it.

    Args:
        app: what answers then.
        names: the names under which this server may be called, beside every address.
        token: what whoever asks has to know; None: nothing.
    """

    def __init__(self, app: ASGIApp, names: Collection[str], token: str | None) -> None:
        self._app = app
        self._names = {name.lower() for name in names} | {LOOPBACK}
        self._token = token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer for the pages, or let them answer."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers[name] = value
                headers.setdefault("cache-control", "no-store")
            await send(message)

        request = Request(scope)
        answer = self._refusal(request) or self._entry(request)
        await (answer or self._app)(scope, receive, guarded)

    def _refusal(self, request: Request) -> Response | None:
        hosts = request.headers.getlist("host")
        if len(hosts) != 1 or not is_ours(hosts[0], self._names):
            text = "this dashboard is not called by that name; open it by its address, or start it with --name\n"
            return PlainTextResponse(text, status_code=421)
        if self._token and not (_is(request.cookies.get(COOKIE), self._token) or TOKEN in request.query_params):
            return PlainTextResponse(LOCKED, status_code=401)
        return None

    def _entry(self, request: Request) -> Response | None:
        """Take a token out of the URL, and keep it in a cookie that no script and no other site can use."""
        if TOKEN not in request.query_params:
            return None
        if not self._token or not _is(request.query_params[TOKEN], self._token):
            text = "that token is not the one of this dashboard; it prints its own when it starts\n"
            return PlainTextResponse(text, status_code=401)
        rest = [(name, value) for name, value in request.query_params.multi_items() if name != TOKEN]
        # The path is written anew, so that it begins with one slash: with two it would name another host, and to a
        # browser a backslash is one as well.
        path = quote("/" + request.url.path.lstrip("/\\"))
        url = f"{path}?{urlencode(rest)}" if rest else path
        response = HTMLResponse(ENTERED.format(url=escape(url)))
        response.set_cookie(COOKIE, self._token, httponly=True, samesite="strict", secure=request.url.scheme == "https")
        return response


def is_ours(host: str, names: Collection[str]) -> bool:
    """Say whether a Host header has an address or one of these names; the port does not matter."""
    name = host.rpartition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]
    if name.lower() in names:
        return True
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def is_loopback(host: str) -> bool:
    """Say whether a server that listens there can be reached from this machine alone."""
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host.lower() == LOOPBACK


def _is(given: str | None, token: str) -> bool:
    return given is not None and hmac.compare_digest(given.encode(), token.encode())
