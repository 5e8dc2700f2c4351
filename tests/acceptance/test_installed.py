"""Tidemark without a clone: what wheel and sdist hold, and that they run where nothing else of the repository is."""

import json
import re
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Iterator
from email.message import Message
from email.parser import HeaderParser
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from tests.support.wheels import REPOSITORY, built, call, copy_of_the_inputs, environment_beside_ours, environment_of
from tidemark import __version__

PACKAGE = REPOSITORY / "src" / "tidemark"
# What only a linter reads, and what Python makes.
NOT_SHIPPED = {".sqlfluff"}
VERSIONS = ("3.11", "3.12", "3.13", "3.14")
SMALL_DEMO = ("demo", "--scale", "0.02", "--batches", "1", "--json")


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    # Not below pytest's own, which other users may not pass: the demo's server runs as one of them if root starts it.
    with tempfile.TemporaryDirectory(prefix="tidemark-") as name:
        yield Path(name)


@pytest.fixture(scope="module")
def tree(folder: Path) -> Path:
    return copy_of_the_inputs(folder / "tree")


@pytest.fixture(scope="module")
def wheel(tree: Path, folder: Path) -> Path:
    return built("wheel", tree, folder / "dist")


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        return HeaderParser().parsestr(archive.read(f"tidemark-{__version__}.dist-info/METADATA").decode())


def held(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if not name.endswith("/")}


def requirements(metadata: Message) -> list[Requirement]:
    return [Requirement(text) for text in metadata.get_all("Requires-Dist", [])]


def pinned() -> dict[str, str]:
    """Return the version of each library that `requirements` pins."""
    texts = [path.read_text("utf-8") for path in (REPOSITORY / "requirements").glob("*.txt") if "peer" not in path.name]
    return dict(re.findall(r"^([\w.-]+)==([^ ]+)", "".join(texts), re.MULTILINE))


def python(version: str) -> Path:
    """Find a Python as `make pythons` does, or skip the test."""
    places = [Path(sys.executable)] if version == f"{sys.version_info.major}.{sys.version_info.minor}" else []
    places += sorted((Path.home() / ".pyenv" / "versions").glob(f"{version}.*/bin/python"))
    if not places:
        pytest.skip(f"there is no Python {version} here")
    return places[0]


def demo_runs(command: Path, folder: Path) -> None:
    """Run a small demo in an empty folder, and let it reach the warehouse."""
    folder.mkdir()
    report = json.loads(call([str(command), *SMALL_DEMO], folder=folder))

    assert [each["batch"] for each in report["batches"]] == [1, 2]
    assert report["tables"]["load"]["fact_sales_order"]["rows"] > 0
    assert [path.name for path in folder.iterdir()] == [".tidemark"]


def test_the_wheel_holds_every_file_of_the_package(wheel: Path) -> None:
    ours = {path for path in PACKAGE.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    expected = {path.relative_to(PACKAGE.parent).as_posix() for path in ours if path.name not in NOT_SHIPPED}

    assert {"tidemark/py.typed", "tidemark/models/totesys/model.toml", "tidemark/sql/source.sql"} <= expected
    assert {name for name in held(wheel) if not name.startswith("tidemark-")} == expected


def test_the_wheel_says_what_it_is(wheel: Path, metadata: Message) -> None:
    assert wheel.name == f"tidemark-{__version__}-py3-none-any.whl"
    assert (metadata["Version"], metadata["License-Expression"]) == (__version__, "Apache-2.0")
    assert f"tidemark-{__version__}.dist-info/licenses/LICENSE" in held(wheel)
    assert metadata["Keywords"]
    classifiers = metadata.get_all("Classifier", [])
    assert [each.rpartition(" ")[2] for each in classifiers if re.search(r":: 3\.\d+$", each)] == list(VERSIONS)
    # An address that nobody answers at would be worse than none.
    assert metadata.get_all("Project-URL", []) == []


def test_the_libraries_that_the_wheel_asks_for_take_the_versions_that_are_tested(metadata: Message) -> None:
    versions = pinned()
    asked = requirements(metadata)

    assert {each.name for each in asked} >= {"duckdb", "deltalake", "psycopg", "aws-lambda-powertools"}
    assert [str(each) for each in asked if not each.specifier.contains(versions[each.name])] == []


def test_the_sdist_builds_the_same_wheel(wheel: Path, tree: Path, folder: Path) -> None:
    sdist = built("sdist", tree, folder / "sdist")
    with tarfile.open(sdist) as archive:
        archive.extractall(folder / "unpacked", filter="data")

    again = built("wheel", folder / "unpacked" / f"tidemark-{__version__}", folder / "again")

    assert held(again) == held(wheel)


def test_the_wheel_alone_runs_the_demo_from_any_directory(wheel: Path, folder: Path) -> None:
    commands = environment_beside_ours(folder / "alone", wheel)
    told = call([str(commands / "python"), "-c", "import tidemark; print(tidemark.__file__)"], folder=folder)
    assert Path(told.strip()).is_relative_to(folder / "alone")

    assert call([str(commands / "tidemark"), "--version"], folder=folder) == f"tidemark {__version__}\n"
    demo_runs(commands / "tidemark", folder / "anywhere")


@pytest.mark.exhaustive
@pytest.mark.parametrize("version", VERSIONS)
def test_pip_installs_it_with_all_its_libraries_on_every_python(version: str, wheel: Path, folder: Path) -> None:
    commands = environment_of(python(version), folder / version, str(wheel))

    call([str(commands / "python"), "-m", "pip", "check"])
    assert call([str(commands / "tidemark"), "--version"]) == f"tidemark {__version__}\n"
    demo_runs(commands / "tidemark", folder / f"demo-{version}")
    told = call([str(commands / "python"), "-c", "import tidemark.aws.load"], folder=folder, expect=1)
    (advice,) = re.findall(r"pip install '(tidemark\[aws\])'", told)
    # Ours stays, although the index has another program of this name.
    call([str(commands / "python"), "-m", "pip", "install", advice])
    assert call([str(commands / "tidemark"), "--version"]) == f"tidemark {__version__}\n"
    call([str(commands / "python"), "-c", "import tidemark.aws.load"], folder=folder)


@pytest.mark.exhaustive
def test_pip_builds_and_installs_the_sdist(tree: Path, folder: Path) -> None:
    sdist = built("sdist", tree, folder / "sdist-for-pip")
    commands = environment_of(Path(sys.executable), folder / "from-sdist", "--no-deps", str(sdist))

    assert (commands / "tidemark").is_file()
    assert call([str(commands / "python"), "-c", "import tidemark; print(tidemark.__version__)"]) == f"{__version__}\n"


@pytest.mark.exhaustive
def test_the_oldest_libraries_that_it_takes_run_the_demo(wheel: Path, metadata: Message, folder: Path) -> None:
    oldest = folder / "oldest.txt"
    bounds = [
        (each.name, spec.version) for each in requirements(metadata) for spec in each.specifier if not each.marker
    ]
    oldest.write_text("".join(f"{name}=={version}\n" for name, version in bounds), "utf-8")

    commands = environment_of(Path(sys.executable), folder / "oldest", "--constraint", str(oldest), str(wheel))

    call([str(commands / "python"), "-m", "pip", "check"])
    demo_runs(commands / "tidemark", folder / "demo-oldest")
