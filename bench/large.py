"""Measure one full load and one increment at 1,000 times the real size, beside the same at 100 times; see README.md."""

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path

from measure import Measured, added
from report import processor, write_into
from run import HERE, STAGES, Site, say, workspace

from tidemark.embedded import EmbeddedServer
from tidemark.pipeline import utc_now

TIMES_AT_MOST = 11


@dataclass(frozen=True)
class Size:
    """What was measured at one size; `full` and `increment` are by stage, and `all` of them together."""

    rows: int
    full: dict[str, Measured]
    increment: dict[str, Measured]
    load_average: float


def main() -> None:
    """Measure both sizes and print the report."""
    options = _options()
    with workspace(options.directory, keep=False) as directory, EmbeddedServer(directory / "postgres") as server:
        sizes = [measured(Site(server, directory, f"size_{scale:g}", scale)) for scale in options.scales]
    text = report(sizes)
    (HERE / "large.json").write_text(json.dumps(sizes, indent=1, default=vars) + "\n", encoding="utf-8")
    print(text)
    if options.write:
        write_into(HERE / "README.md", text, "large")


def measured(site: Site) -> Size:
    """Fill a source, load all of it, make one increment, compare the counts, and remove everything."""
    say(f"{site.scale:g} times the real size: fill")
    rows = site.fill()
    say(f"{rows:,} rows: full load")
    stages = site.pipeline()
    full = {**stages, "all": added(list(stages.values()))}
    site.vacuum(site.warehouse)
    say("increment")
    increment = site.increments(1)
    say("comparing the counts")
    site.check()
    site.drop()
    return Size(rows, full, increment, os.getloadavg()[2])


def report(sizes: list[Size]) -> str:
    """Write the report."""
    small, large = sizes[0], sizes[-1]
    times = large.full["all"].wall_seconds / small.full["all"].wall_seconds
    work = (large.full["all"].cpu_seconds or 0) / (small.full["all"].cpu_seconds or 1)
    peaks = [max(each.peak_mib or 0 for each in size.full.values()) for size in sizes]
    verdict = "reached" if times <= TIMES_AT_MOST else "missed"
    sentence = f"The full load of {large.rows:,} rows takes {times:.1f} times as long as that of {small.rows:,}"
    sentence += (
        f" (at most {TIMES_AT_MOST}: {verdict}), and {work:.1f} times the CPU of Tidemark's own processes; the largest"
        f" process has {peaks[-1]:.0f} MiB, there {peaks[0]:.0f}."
    )
    lines = [
        f"{utc_now():%Y-%m-%d}, {os.cpu_count()} cores ({processor()}).",
        "",
        sentence,
        "",
        "| rows | | ingest s | transform s | load s | all s | CPU s | peak MiB | load of the machine, 15 min |",
        "|--:|---|--:|--:|--:|--:|--:|--:|--:|",
    ]
    for size in sizes:
        for name, stages in (("full load", size.full), ("increment", size.increment)):
            walls = " | ".join(f"{stages[stage].wall_seconds:.1f}" for stage in (*STAGES, "all"))
            peak = max(each.peak_mib or 0 for each in stages.values())
            figures = f"{stages['all'].cpu_seconds or 0:.1f} | {peak:.0f} | {size.load_average:.1f}"
            lines.append(f"| {size.rows:,} | {name} | {walls} | {figures} |")
    return "\n".join(lines)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scales", type=float, nargs=2, default=[100, 1000], help="the two sizes, the smaller first")
    parser.add_argument("--directory", type=Path, default=Path(".tidemark/large"), help="where to work; emptied first")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    return parser.parse_args()


if __name__ == "__main__":
    main()
