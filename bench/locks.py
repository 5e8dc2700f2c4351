"""Measure how long an ALTER and a writer behind it wait for a poll that gives way or does not; see bench/README.md."""

import argparse
import os
import shutil
import subprocess
import threading
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
from measure import server_is_calm
from report import processor, write_into
from run import HERE, Site, keys_model, say, workspace

from tidemark.embedded import EmbeddedServer
from tidemark.pipeline import utc_now

GIVING_WAY = "2s"
# They change nothing that a poll would find, so one poll is like the other.
ALTER = "alter table payment alter column paid set default false"
WRITE = "update payment set paid = paid where payment_id = (select min(payment_id) from payment)"
CHANGE = "update payment set payment_amount = payment_amount + 1, last_updated = now() where payment_id % 50 = 0"
WRITER_COMES_AFTER_SECONDS = 0.02
POLL_HAS_ITS_LOCKS = """
select exists(
    select from pg_locks as l
    inner join pg_stat_activity as a on l.pid = a.pid
    where a.application_name = 'tidemark ingest' and l.granted and l.relation = 'payment'::regclass
)
"""


@dataclass(frozen=True)
class Waits:
    """How long an ALTER and the writer behind it waited for a poll, how long that took, and its exit code."""

    alter_seconds: float
    writer_seconds: float
    poll_seconds: float
    exit_code: int


def main() -> None:
    """Measure at each scale and print the tables."""
    options = _options()
    lines = [
        f"{utc_now():%Y-%m-%d}, {os.cpu_count()} cores ({processor()}), load {os.getloadavg()[0]:.1f} at the start"
    ]
    waits: list[str] = []
    idle: list[str] = []
    with workspace(options.directory, keep=False) as directory, EmbeddedServer(directory / "postgres") as server:
        for scale in options.scales:
            rows, at_scale, polls = measure(server, directory, scale)
            waits += [f"| {rows:,} rows, {name} {''.join(map(_cells, pair))}|" for name, pair in at_scale.items()]
            idle += [f"| {rows:,} | {' | '.join(f'{seconds:.2f}' for seconds in polls)} |"]
    lines[0] += f", {os.getloadavg()[0]:.1f} at the end."
    lines += ["", "| the poll | `off`: ALTER s | writer s | poll s | `2s`: ALTER s | writer s | poll s, exit code |"]
    lines += ["|---|--:|--:|--:|--:|--:|--:|", *waits, ""]
    lines += ['| rows | empty poll: CPU s of the server | with `sweep = "keys"` |', "|--:|--:|--:|", *idle]
    text = "\n".join(lines)
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, "locks")


def measure(
    server: EmbeddedServer, directory: Path, scale: float
) -> tuple[int, dict[str, tuple[Waits, Waits]], tuple[float, float]]:
    """Measure polls of three kinds, each made to give way and then not, and empty polls without anybody waiting."""
    site = Site(server, directory, f"at_{scale:g}".replace(".", "_"), scale)
    say(f"{scale:g} times the real size: fill")
    rows = site.fill()
    kinds = {
        "the first poll": forget,
        "nothing had changed": leave,
        "2 % of the payments had changed": change,
    }
    found = {}
    for name, prepare in kinds.items():
        say(name)
        prepare(site)
        giving_way = waited(site, GIVING_WAY)
        prepare(site)
        found[name] = waited(site, "off"), giving_way
    polls = [server_seconds(site)]
    site.model = str(keys_model(directory / "keys_model"))
    site.call("ingest")
    polls.append(server_seconds(site))
    site.drop()
    return rows, found, (polls[0], polls[1])


def forget(site: Site) -> None:
    """Remove what earlier polls made."""
    shutil.rmtree(site.directory / site.name, ignore_errors=True)


def leave(site: Site) -> None:
    """Leave all as it is."""
    del site


def change(site: Site) -> None:
    """Change one row of fifty."""
    with psycopg.connect(site.server.url(site.name)) as connection:
        connection.execute(CHANGE)


def waited(site: Site, yield_after: str) -> Waits:
    """Start a poll, an ALTER as soon as the poll has its locks, and a writer after it."""
    server_is_calm(site.server)
    url = site.server.url(site.name)
    seconds: dict[str, float] = {}

    def run(connection: psycopg.Connection, statement: bytes, name: str) -> None:
        began = time.perf_counter()
        connection.execute(statement)
        seconds[name] = time.perf_counter() - began

    flags = ["--yield-after", yield_after, "--attempts", "1"]
    with (
        psycopg.connect(url, autocommit=True) as migration,
        psycopg.connect(url, autocommit=True) as writer,
        psycopg.connect(url, autocommit=True) as looking,
    ):
        began = time.perf_counter()
        with subprocess.Popen([*site.command("ingest"), *flags], stdout=subprocess.DEVNULL) as poll:  # noqa: S603 -- our own
            while poll.poll() is None and looking.execute(POLL_HAS_ITS_LOCKS).fetchone() != (True,):
                time.sleep(0.002)
            threads = [
                threading.Thread(target=run, args=(migration, ALTER.encode(), "alter")),
                threading.Thread(target=run, args=(writer, WRITE.encode(), "writer")),
            ]
            for thread in threads:
                thread.start()
                time.sleep(WRITER_COMES_AFTER_SECONDS)
            code = poll.wait()
            poll_seconds = time.perf_counter() - began
            for thread in threads:
                thread.join()
    return Waits(seconds["alter"], seconds["writer"], poll_seconds, code)


def server_seconds(site: Site) -> float:
    """Poll when nothing has changed, and count the processor's time of all server processes that worked for it."""
    before = _ended_seconds(site)
    site.call("ingest")
    time.sleep(0.5)  # until the server has taken leave of them
    return _ended_seconds(site) - before


def _ended_seconds(site: Site) -> float:
    """Give the time of the server's processes that have ended, in seconds (proc(5): cutime and cstime)."""
    pid = (site.directory / "postgres" / "pgdata" / "postmaster.pid").read_text(encoding="utf-8").split()[0]
    fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _cells(waits: Waits) -> str:
    code = f", {waits.exit_code}" if waits.exit_code else ""
    return f"| {waits.alter_seconds:.2f} | {waits.writer_seconds:.2f} | {waits.poll_seconds:.1f}{code} "


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", type=float, nargs="+", default=[1, 10, 100], help="times the real size")
    parser.add_argument("--directory", type=Path, default=Path(".tidemark/bench-locks"), help="where to work; emptied")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
