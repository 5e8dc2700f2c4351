"""The functions' packages for the tests, built for the Python at hand, which runs them (lambdas.py)."""

import platform
import sys
from pathlib import Path

from infra.package import FUNCTIONS, MACHINES, Target, build

AT_HAND = Target(
    runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
    architecture={machine: name for name, machine in MACHINES.items()}[platform.machine()],
)


def built_packages(folder: Path) -> Path:
    """Build the three zips in a folder and return it: a second, once `build/wheels` has the wheels."""
    for function in FUNCTIONS:
        build(function, AT_HAND, folder)
    return folder
