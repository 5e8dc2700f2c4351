"""The results as Markdown, beside the targets."""

import os
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psycopg
from measure import Measured
from peers import CASE_ROWS

from tidemark.embedded import EmbeddedServer

LIBRARIES = ("duckdb", "deltalake", "psycopg")
FULL_LOAD_FLOORS = 2.5
# The goals in seconds were set where the floor took so long: only as shares of the floor do they hold on any machine.
FLOOR_SECONDS = 9.3
INCREMENT_SECONDS = 3.5
POLL_SECONDS = 1.8
POLL_KEYS_SECONDS = 1.2
INCREMENT_TENTHS = 1.8
PEAK_MIB = 400
# How long Tidemark may take, as a multiple of what dlt takes for the same.
DLT_FULL, DLT_INCREMENT, DLT_INCREMENT_REAL_SIZE = 1.0, 1.0, 0.5


def machine(server: EmbeddedServer) -> dict[str, Any]:
    """Describe the machine and the versions of the software."""
    with psycopg.connect(server.url("postgres")) as connection:
        postgres = connection.info.parameter_status("server_version")
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return {
        "cores": os.cpu_count(),
        "processor": processor(),
        "memory_gib": round(memory_bytes / 2**30, 1),
        "system": f"{platform.system()} {platform.release().partition('-')[0]}",
        "versions": {"Python": platform.python_version(), "PostgreSQL": postgres}
        | {name: version(name) for name in LIBRARIES},
    }


def markdown(results: Mapping[str, Any]) -> str:
    """Write the report."""
    facts = results["machine"]
    versions = ", ".join(f"{name} {each}" for name, each in facts["versions"].items())
    processor = f" ({facts['processor']})" if facts["processor"] else ""
    return "\n".join(
        [
            f"{results['rows']:,} rows, {results['scale']:g} times the real size, {results['at']}.",
            f"{facts['cores']} cores{processor}, {facts['memory_gib']} GiB, {facts['system']}; {versions}.",
            "",
            *_targets(results),
            "",
            *_full(results),
            "",
            *_increment(results),
            "",
            *_polls(results),
            "",
            *_mirror(results["mirror"]),
        ]
    )


def _mirror(measured: Mapping[str, Mapping[str, Measured]]) -> list[str]:
    """Tabulate a mirror beside the star of the same source."""
    lines = [
        "| mirror beside the star | | wall s | CPU s | peak MiB | CPU, times the star's |",
        "|---|---|--:|--:|--:|--:|",
    ]
    for key, name in (("full", "full load"), ("increment", "increment"), ("poll", "empty poll")):
        star = measured[key]["star"]
        for model, run in measured[key].items():
            lines.append(
                f"| {name} | {model} {_figures(run)} | {(run.cpu_seconds or 0) / (star.cpu_seconds or 1):.2f} |"
            )
    return lines


def peers_markdown(results: Mapping[str, Any]) -> str:
    """Write what other tools took beside Tidemark."""
    facts = results["machine"]
    tools = ", ".join(f"{name} {each}" for name, each in results["versions"].items())
    lines = [
        f"{results['at']}, {facts['cores']} cores ({facts['processor']}), load {results['load']} at the end; {tools}.",
        *(f"{name} is missing: {why}." for name, why in results["missing"].items()),
        "",
    ]
    if "dlt" not in results["missing"]:
        lines += [*_against_dlt(results["sizes"]), ""]
    for scale, size in results["sizes"].items():
        lines += [*_beside(f"{size['rows']:,} rows, {scale} times the real size", size), ""]
    return "\n".join([*lines, *_lacks(results["lacks"])])


def write_into(path: Path, text: str, name: str = "results") -> None:
    """Put a report between the markers of this name in a file."""
    begin, end = f"<!-- {name} -->", f"<!-- end of {name} -->"
    before, _, rest = path.read_text(encoding="utf-8").partition(begin)
    _, _, after = rest.partition(end)
    path.write_text(f"{before}{begin}\n\n{text}\n\n{end}{after}", encoding="utf-8")


def peak_mib(results: Mapping[str, Any]) -> float:
    """Return the most memory that any stage took."""
    runs: list[Measured] = [results["full"]["all"], results["increment"]["all"], results["poll"]]
    runs += [results["poll_keys"], results["poll_switch"]]
    return max(run.peak_mib or 0.0 for run in runs)


def _against_dlt(sizes: Mapping[str, Any]) -> list[str]:
    real, large = sizes["1"], list(sizes.values())[-1]
    rows = [
        ("full load", large["full"], DLT_FULL),
        ("increment", large["increment"], DLT_INCREMENT),
        ("increment at the real size", real["increment"], DLT_INCREMENT_REAL_SIZE),
    ]
    lines = ["| to reach, as a multiple of what dlt takes | at most | measured | |", "|---|--:|--:|---|"]
    for name, runs, limit in rows:
        ratio = runs["Tidemark"].wall_seconds / runs["dlt"].wall_seconds
        lines.append(f"| {name} | {limit} | {ratio:.2f} | {'reached' if ratio <= limit else 'missed'} |")
    return lines


def _beside(title: str, size: Mapping[str, Any]) -> list[str]:
    """Tabulate one size; who is ahead is said of each row."""
    lines = [
        f"| {title} | | wall s | CPU s | peak MiB | Tidemark takes of that | ahead |",
        "|---|---|--:|--:|--:|--:|---|",
    ]
    for key, name in (("full", "full load"), ("increment", "increment")):
        ours: Measured = size[key]["Tidemark"]
        for tool, run in size[key].items():
            ratio = ours.wall_seconds / run.wall_seconds
            ahead = "" if run is ours else ("Tidemark" if ratio < 1 else tool)
            lines.append(f"| {name} | {tool} {_figures(run)} | {ratio:.2f} | {ahead} |")
    return lines


def _lacks(cases: Mapping[str, Mapping[str, int]]) -> list[str]:
    tools = list(next(iter(cases.values())))
    lines = [
        f"| of {CASE_ROWS} rows each, wrong or left in the copy | {' | '.join(tools)} |",
        "|---|" + "--:|" * len(tools),
    ]
    return [*lines, *(f"| {name} | {' | '.join(str(case[tool]) for tool in tools)} |" for name, case in cases.items())]


def _targets(results: Mapping[str, Any]) -> list[str]:
    floor: Measured = results["floor"]
    peak, tenths = peak_mib(results), _wall(results["increment"]) / _wall(results["increment_tenth"])
    rows = [_in_floors("full load", results["full"]["all"], FULL_LOAD_FLOORS, floor)]
    rows += [
        _in_floors(
            f"{name}: {seconds:g} s where the floor takes {FLOOR_SECONDS:g} s", run, seconds / FLOOR_SECONDS, floor
        )
        for name, run, seconds in (
            ("increment", results["increment"]["all"], INCREMENT_SECONDS),
            ("empty poll", results["poll"], POLL_SECONDS),
            ('empty poll with `sweep = "keys"`', results["poll_keys"], POLL_KEYS_SECONDS),
        )
    ]
    rows.append(
        (
            "increment, times that at a tenth of the size",
            f"{INCREMENT_TENTHS:g}",
            f"{tenths:.2f}",
            tenths <= INCREMENT_TENTHS,
        )
    )
    rows.append(("most memory of any stage", f"{PEAK_MIB} MiB", f"{peak:.0f} MiB", peak <= PEAK_MIB))
    lines = ["| to reach | at most | measured | |", "|---|--:|--:|---|"]
    return lines + [
        f"| {what} | {limit} | {got} | {'reached' if is_met else 'missed'} |" for what, limit, got, is_met in rows
    ]


def _in_floors(name: str, run: Measured, limit: float, floor: Measured) -> tuple[str, str, str, bool]:
    """Compare a run with a limit that is a multiple of the floor."""
    floors = run.wall_seconds / floor.wall_seconds
    return name, f"{limit:.2f} floors", f"{floors:.2f} floors ({run.wall_seconds:.1f} s)", floors <= limit


def _wall(stages: Mapping[str, Measured]) -> float:
    return stages["all"].wall_seconds


def _full(results: Mapping[str, Any]) -> list[str]:
    floor: Measured = results["floor"]
    runs = [("floor, foreign keys at the end", floor), ("floor, foreign keys first", results["floor_keys_first"])]
    runs += list(results["full"].items())
    lines = [
        "| full load | rows | wall s | CPU s | peak MiB | rows/s | times the floor |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, run in runs:
        rows = results["rows"] if name == "all" else run.rows
        speed = f"{rows / run.wall_seconds:,.0f}"
        lines.append(f"| {name} | {rows:,} {_figures(run)} | {speed} | {run.wall_seconds / floor.wall_seconds:.1f} |")
    sizes = ", ".join(f"{name} {size:,.0f} MiB" for name, size in results["lake_mib"].items())
    return [*lines, "", f"The buckets after it: {sizes} (`latest` included)."]


def _increment(results: Mapping[str, Any]) -> list[str]:
    lines = ["| increment | rows | wall s | CPU s | peak MiB | wall s at a tenth of the size | ratio |"]
    lines.append("|---|--:|--:|--:|--:|--:|--:|")
    for name, run in results["increment"].items():
        tenth = results["increment_tenth"][name]
        ratio = run.wall_seconds / tenth.wall_seconds
        lines.append(f"| {name} | {run.rows:,} {_figures(run)} | {tenth.wall_seconds:.2f} | {ratio:.2f} |")
    return lines


def _polls(results: Mapping[str, Any]) -> list[str]:
    lines = ["| empty poll | wall s | CPU s | peak MiB |", "|---|--:|--:|--:|"]
    for name, key in (
        ('`sweep = "rows"`', "poll"),
        ('`sweep = "keys"`', "poll_keys"),
        ('the one poll that takes new hashes after a change to `"keys"`', "poll_switch"),
    ):
        lines.append(f"| {name} {_figures(results[key])} |")
    return lines


def _figures(run: Measured) -> str:
    cpu = "" if run.cpu_seconds is None else f"{run.cpu_seconds:.2f}"
    peak = "" if run.peak_mib is None else f"{run.peak_mib:.0f}"
    return f"| {run.wall_seconds:.2f} | {cpu} | {peak}"


def processor() -> str:
    """Name the processor; return an empty text if it is unknown."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
