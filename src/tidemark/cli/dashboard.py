"""The command `dashboard`: live pages on warehouse, lake and log, or the same as files."""

import secrets
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli import signals
from tidemark.cli.options import Invocation, invocation
from tidemark.cli.output import out, print_json, shown_count
from tidemark.cli.progress import waiting
from tidemark.extras import needed_for

if TYPE_CHECKING:
    from types import FrameType

    from tidemark.dashboard.server import Server

PORT = 8484
TOKEN_BYTES = 24


def dashboard(
    ctx: typer.Context,
    *,
    host: Annotated[str, typer.Option(help="The address to listen at.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 means one that is free.")] = PORT,
    name: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="A name by which browsers call this machine; repeatable.")
    ] = None,
    export: Annotated[
        Path | None,
        typer.Option(metavar="PLACE", help="Write the pages into this directory, or one page as FILE.html, and end."),
    ] = None,
) -> None:
    """Show health, figures, history and lineage as web pages, until somebody stops it. It only reads.

    With an address other than this machine's own, a browser has to know a token, which is printed at the start;
    TIDEMARK_DASHBOARD_TOKEN sets one that stays.

    Example: `tidemark dashboard --port 0`
    """
    called = invocation(ctx)
    if export is None:
        _serve(called, host, port, name or [])
    else:
        _export(called, export)


def _serve(called: Invocation, host: str, port: int, names: list[str]) -> None:
    with needed_for("dashboard"):
        from tidemark.dashboard.guard import is_loopback  # noqa: PLC0415 -- the libraries may be missing
        from tidemark.dashboard.server import Server, listening, make_app  # noqa: PLC0415 -- as above

    token = called.settings.dashboard_token
    if token is None and not is_loopback(host):
        token = secrets.token_hex(TOKEN_BYTES)
    with listening(host, port) as opened:
        shown = f"[{host}]" if ":" in host else host
        url = f"http://{shown}:{opened.getsockname()[1]}/{f'?token={token}' if token else ''}"
        server = Server(make_app(called.pipeline, names=[*names, host], token=token))
        _end_on_signals(server)
        if called.as_json:
            print_json({"url": url}, in_one_line=True)
        else:
            out().print(f"the dashboard is at {url}", soft_wrap=True, markup=False)
            out().print("Ctrl-C stops it", style="dim")
        server.run(sockets=[opened])


def _end_on_signals(server: "Server") -> None:
    """Let the first SIGINT or SIGTERM end the server after the pages in hand, and a second one end it at once."""

    def receive(number: int, frame: "FrameType | None") -> None:
        del frame
        if server.should_exit:
            signals.end(number)
        server.should_exit = True

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, receive)


def _export(called: Invocation, directory: Path) -> None:
    with needed_for("dashboard"):
        from tidemark.dashboard.export import export_one, export_pages  # noqa: PLC0415 -- as above

    if directory.suffix == ".html":
        with waiting("writing the page"):
            export_one(called.pipeline(), directory)
        if called.as_json:
            print_json({"directory": str(directory.parent), "files": [directory.name]})
        else:
            out().print(f"{directory} has everything in it: open it", markup=False)
        return
    with waiting("writing the pages"):
        written = export_pages(called.pipeline, directory)
    if called.as_json:
        print_json({"directory": str(directory), "files": written})
    else:
        out().print(f"{shown_count(len(written))} files in {directory}: open {directory / 'index.html'}", markup=False)
