"""The functions' packages for the tests, built for the Python at hand, which runs them (lambdas.py)."""

import fcntl
import platform
import sys
from pathlib import Path

from infra.package import FUNCTIONS, MACHINES, Target, build

AT_HAND = Target(
    runtime=f"python{sys.version_info.major}.{sys.version_info.minor}",
    architecture={machine: name for name, machine in MACHINES.items()}[platform.machine()],
)


def built_packages(folder: Path) -> Path:
    """Return the directory below `folder` with the three zips, built there unless they are already.

    Workers of one session that name the same folder wait for the one that builds; a session has to begin with an empty
    one. The wheels stay in `build/wheels` for the next session.
    """
    packages = folder / "packages"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for function in FUNCTIONS:
            if not (packages / f"{function}.zip").exists():
                build(function, AT_HAND, packages)
    return packages
