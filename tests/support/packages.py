"""The packages for the tests, built for the Python at hand, which runs them (lambdas.py, jobs.py)."""

import platform
import sys
from pathlib import Path

from infra.package import FUNCTIONS, JOB, MACHINES, Target, build

AT_HAND = Target(
    runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
    architecture={machine: name for name, machine in MACHINES.items()}[platform.machine()],
)


def built_packages(folder: Path) -> Path:
    """Build the zips in a folder and return it: two seconds, once `build/wheels` has the wheels."""
    for name in (*FUNCTIONS, JOB):
        build(name, AT_HAND, folder)
    return folder
