"""The wheel and the sdist, built out of a copy of the repository, and environments to install them into."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Literal

REPOSITORY = Path(__file__).parents[2]
# All that a build reads.
INPUTS = ("pyproject.toml", "README.md", "LICENSE", "src")
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info")


def copy_of_the_inputs(folder: Path) -> Path:
    """Copy what a build reads, because a build writes beside it."""
    folder.mkdir(parents=True)
    for name in INPUTS:
        if (REPOSITORY / name).is_dir():
            shutil.copytree(REPOSITORY / name, folder / name, ignore=LEFT_OUT)
        else:
            shutil.copy2(REPOSITORY / name, folder / name)
    return folder


def built(kind: Literal["wheel", "sdist"], tree: Path, folder: Path) -> Path:
    """Build a tree into a folder, as pip does it, and return the file."""
    folder.mkdir(exist_ok=True)
    script = f"import sys; from setuptools import build_meta; build_meta.build_{kind}(sys.argv[1])"
    call([sys.executable, "-c", script, str(folder)], folder=tree)
    (path,) = folder.glob("*.whl" if kind == "wheel" else "*.tar.gz")
    return path


def environment_beside_ours(folder: Path, wheel: Path) -> Path:
    """Make an environment of a wheel alone and return its `bin`; the libraries are those of the Python at hand.

    A path in a .pth file brings the libraries, but not what their own .pth files say: the repository stays out.
    """
    call([sys.executable, "-m", "venv", "--without-pip", str(folder)])
    python = folder / "bin" / "python"
    call(
        [sys.executable, "-m", "pip", "--python", str(python), *QUIET, "install", "--no-deps", "--no-index", str(wheel)]
    )
    (ours,) = {path for path in sys.path if path.endswith("site-packages") and path.startswith(sys.prefix)}
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "libraries.pth").write_text(ours + "\n", "utf-8")
    return python.parent


QUIET = ("--quiet", "--disable-pip-version-check", "--no-input")


def environment_of(python: Path, folder: Path, *arguments: str) -> Path:
    """Make an environment with a Python, let pip install what the arguments ask for, and return its `bin`."""
    call([str(python), "-m", "venv", str(folder)])
    call([str(folder / "bin" / "python"), "-m", "pip", *QUIET, "install", *arguments])
    return folder / "bin"


def call(command: list[str], *, folder: Path | None = None, expect: int = 0) -> str:
    """Run a command and return what it printed, or, where it is to fail, what it said."""
    done = subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True, timeout=600)  # noqa: S603 -- a test's own
    assert done.returncode == expect, f"{command}\n{done.stdout}\n{done.stderr}"
    return done.stderr if expect else done.stdout
