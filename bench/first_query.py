"""Measure how long a stranger waits for the first query, and how much they write: mirror and star; see README.md.

The database is the grocer of the tests: ten tables, no timestamps, text and composite keys.
"""

import argparse
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from report import processor, write_into
from run import HERE, say, workspace

from tidemark.embedded import EmbeddedServer
from tidemark.pipeline import utc_now

GROCER = HERE.parent / "tests" / "models" / "grocer" / "schema.sql"
MODEL = "grocer"


@dataclass(frozen=True)
class Way:
    """A way to the first query: the commands after `tidemark`, and the query; `made` counts lines that it generated."""

    name: str
    commands: tuple[tuple[str, ...], ...]
    query: str
    seconds: float = 0.0
    made: int = 0


WAYS = (
    Way("mirror", (("run", "--model", "mirror"),), "select company from buyer"),
    Way(
        "star",
        (("model", "new", MODEL), ("init", "--model", MODEL), ("run", "--model", MODEL)),
        "select company from dim_buyer",
    ),
)


def main() -> None:
    """Take both ways and print the report."""
    options = _options()
    with workspace(options.directory, keep=False) as directory, EmbeddedServer(directory / "postgres") as server:
        server.create_database("source")
        with psycopg.connect(server.url("source")) as connection:
            connection.execute(GROCER.read_bytes())
        taken = [_taken(way, server, directory) for way in WAYS]
    text = "\n".join(
        [
            f"{utc_now():%Y-%m-%d}, {processor()}.",
            "",
            "| | seconds | commands | lines that a person wrote | lines that were generated |",
            "|---|--:|--:|--:|--:|",
            *(f"| {way.name} | {way.seconds:.1f} | {len(way.commands)} | 0 | {way.made} |" for way in taken),
        ]
    )
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, "first query")


def _taken(way: Way, server: EmbeddedServer, directory: Path) -> Way:
    """Go one way, from an empty warehouse to the answer of a query."""
    folder = directory / way.name
    folder.mkdir()
    server.create_database(way.name)
    say(way.name)
    started = time.perf_counter()
    for command in way.commands:
        urls = ["--source-url", server.url("source"), "--warehouse-url", server.url(way.name)]
        subprocess.run([sys.executable, "-m", "tidemark", *command, *urls], cwd=folder, check=True, stdout=sys.stderr)  # noqa: S603 -- our own
    with psycopg.connect(server.url(way.name)) as connection:
        rows = connection.execute(way.query.encode()).fetchall()
    seconds = time.perf_counter() - started
    if not rows:
        sys.exit(f"{way.query} found no row: a figure without an answer says nothing")
    files = [path for path in (folder / MODEL).rglob("*") if path.is_file()]
    return Way(
        way.name, way.commands, way.query, seconds, sum(len(path.read_text("utf-8").splitlines()) for path in files)
    )


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--directory", type=Path, default=Path(".tidemark/first"), help="where to work; emptied first")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
