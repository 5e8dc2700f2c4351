"""Measure the packages of the Lambda functions: their sizes, and the cost of importing each handler.

    python bench/packages.py [--repeat 9] [--write]

The sizes are those for the default runtime of the functions. The imports run here, on this machine's Python.
"""

import argparse
import platform
import statistics
import subprocess
import sys
import sysconfig
import tempfile
import zipfile
from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from report import processor, write_into

from infra.package import FUNCTIONS, MACHINES, MIB, Target, build, contents
from tests.support.lambdas import LIBRARIES
from tests.support.packages import built_packages

README = Path(__file__).with_name("README.md")
HANDLERS = {"ingest": "ingest", "transform": "transform", "load": "load", "compact": "ingest"}
SHOWN = 6
# A process that sees the package, the standard library, and last the libraries of the runtime, as in Lambda.
PROGRAM = """
import sys, time
code, libraries, module = sys.argv[1:]
sys.path = [code, *sys.path, libraries]
began = time.process_time()
__import__(module)
imported = time.process_time()
from tidemark.objects.aws_client import open_client, open_session
open_client(open_session(), "s3")
print(imported - began, time.process_time() - imported)
"""


def main() -> None:
    """Measure, print the tables, and put them into bench/README.md if `--write` is given."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--repeat", type=int, default=9, help="how often each handler is imported")
    parser.add_argument("--write", action="store_true", help="put the results into bench/README.md")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        text = "\n".join([*sizes(Path(folder)), "", *imports(Path(folder), given.repeat)])
    print(text)
    if given.write:
        write_into(README, text, "packages")


def sizes(folder: Path) -> list[str]:
    """Build the packages for the default runtime and return their sizes as a table."""
    lines = ["| package | architecture | zipped MiB | unpacked MiB | of that |", "|---|---|--:|--:|---|"]
    for architecture in MACHINES:
        target = Target(architecture=architecture)
        for function in FUNCTIONS:
            build(function, target, folder)
            zipped = (folder / f"{function}.zip").stat().st_size / MIB
            owners: Counter[str] = Counter()
            for part in contents(function, target):
                owners[part.owner] += part.size
            largest = ", ".join(f"{owner} {size / MIB:.1f}" for owner, size in owners.most_common(4))
            unpacked = owners.total() / MIB
            lines.append(f"| {function} | {architecture} | {zipped:.1f} | {unpacked:.1f} | {largest} |")
    return [f"For {Target.runtime}, {date.today():%Y-%m-%d}.", "", *lines]  # noqa: DTZ011, TID251 -- the report's own


def imports(folder: Path, repeat: int) -> list[str]:
    """Import each handler in new processes, with and without Python's cache of compiled modules."""
    packages = built_packages(folder / "at-hand")
    _link_runtime(folder / "runtime")
    lines = ["| handler | import, CPU s | with compiled modules | first S3 client | import by library, ms |"]
    lines.append("|---|--:|--:|--:|---|")
    for handler, package in HANDLERS.items():
        code = folder / handler
        with zipfile.ZipFile(packages / f"{package}.zip") as archive:
            archive.extractall(code)
        cold = [_seconds(code, handler, ["-B"]) for _ in range(repeat)]
        shares = _least([_shares(code, handler) for _ in range(repeat)])
        compiled = [_seconds(code, handler, []) for _ in range(repeat + 1)][1:]
        figures = [statistics.median(first for first, _ in cold), statistics.median(first for first, _ in compiled)]
        figures.append(statistics.median(second for _, second in cold))
        row = " | ".join(f"{figure:.2f}" for figure in figures)
        largest = ", ".join(f"{owner} {microseconds / 1000:.0f}" for owner, microseconds in shares.most_common(SHOWN))
        lines.append(f"| {handler} | {row} | {largest} |")
    return [f"Python {platform.python_version()}, {processor()}; the median of {repeat} processes.", "", *lines]


def _link_runtime(folder: Path) -> None:
    """Link the libraries that Lambda's runtime brings into a directory of their own."""
    folder.mkdir()
    for name in LIBRARIES:
        for place in (Path(sysconfig.get_path("purelib")) / each for each in (name, f"{name}.py")):
            if place.exists():
                (folder / place.name).symlink_to(place)


def _seconds(code: Path, handler: str, options: Sequence[str]) -> tuple[float, float]:
    """Return the processor's seconds for the import of a handler, and then for its first client of S3."""
    first, second = _run(code, handler, options).stdout.split()
    return float(first), float(second)


def _shares(code: Path, handler: str) -> Counter[str]:
    """Return how many microseconds of the import each library's own modules took."""
    provided = {path.name.split(".")[0] for path in code.iterdir()}
    shares: Counter[str] = Counter()
    for line in _run(code, handler, ["-B", "-X", "importtime"]).stderr.splitlines():
        microseconds, _, module = line.removeprefix("import time:").split("|")
        name = module.strip()
        if microseconds.strip().isdigit():
            owner = name.split(".")[0].removeprefix("_")
            shares[owner if owner in provided else "Python's own and the runtime's"] += int(microseconds)
        if name == f"tidemark.aws.{handler}":
            break
    return shares


def _least(runs: Sequence[Counter[str]]) -> Counter[str]:
    """Take the least of each library over the runs: it is wall time, and the machine may do other work as well."""
    return Counter({owner: min(run[owner] for run in runs) for owner in runs[0]})


def _run(code: Path, handler: str, options: Sequence[str]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", *options, "-c", PROGRAM, str(code), str(code.with_name("runtime"))]
    command.append(f"tidemark.aws.{handler}")
    environment = {"AWS_REGION": "eu-west-2", "POWERTOOLS_SERVICE_NAME": "tidemark"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)  # noqa: S603 -- our own
    if done.returncode:
        sys.exit(f"the handler of {handler} cannot be imported:\n{done.stderr}")
    return done


if __name__ == "__main__":
    main()
