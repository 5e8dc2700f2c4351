"""The packages of functions and job: what lies in them, that each runs alone, and that Lambda and EMR take them.

They run here on this machine's Python, the job in test_aws.py. For Lambda's own Python and EMR's, the wheels' tags and
the sizes are checked.
"""

import hashlib
import json
import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.utils import parse_wheel_filename

from infra.package import (
    FUNCTIONS,
    JOB,
    JOB_RUNTIME,
    MACHINES,
    MIB,
    RUNTIMES,
    Extras,
    PackageError,
    Part,
    Target,
    build,
    check_size,
    chosen_wheels,
    contents,
    download,
)
from tests.support.kept import small_template
from tests.support.lambdas import Function, Lambdas
from tests.support.packages import AT_HAND, built_packages
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.s3 import S3

REPOSITORY = Path(__file__).parents[2]
DELTA = {"arro3-core", "deltalake", "deprecated", "wrapt"}
POWERTOOLS = {"aws-lambda-powertools", "jmespath", "typing-extensions"}
POSTGRES = {"psycopg", "psycopg-binary"}
BOTO = {"boto3", "botocore", "jmespath", "python-dateutil", "s3transfer", "six", "urllib3"}
TYPER = {
    *("annotated-doc", "annotated-types", "markdown-it-py", "mdurl", "pydantic", "pydantic-core", "pygments", "rich"),
    *("shellingham", "typer", "typing-extensions", "typing-inspection"),
}
LIBRARIES = {
    "ingest": {*DELTA, *POWERTOOLS, *POSTGRES, "duckdb", "fsspec", "tzdata"},
    "transform": {*DELTA, *POWERTOOLS, "duckdb", "fsspec", "sqlglot", "tzdata"},
    "load": {*DELTA, *POWERTOOLS, *POSTGRES, "duckdb", "jinja2", "markupsafe", "tzdata"},
    # No pyspark, which is EMR's own, and boto3, which Lambda brings.
    JOB: {*DELTA, *BOTO, *TYPER, "duckdb", "fsspec", "sqlglot", "tzdata"},
}
PACKAGES = tuple(LIBRARIES)
# What a package's top level holds of a library that is not named as the library is.
MODULES = {
    "arro3-core": {"arro3"},
    "duckdb": {"_duckdb", "_duckdb-stubs", "adbc_driver_duckdb", "duckdb"},
    "markdown-it-py": {"markdown_it"},
    "psycopg-binary": {"psycopg_binary"},
    "python-dateutil": {"dateutil"},
    "wrapt": {"wrapt", "wrapt-stubs"},
}
MADE_BY_INSTALLERS = {"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"}
CERTIFICATES = "-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n"


@pytest.fixture(scope="module")
def packages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The directory with the packages for the Python at hand."""
    folder = tmp_path_factory.mktemp("packages")
    yield built_packages(folder)
    shutil.rmtree(folder)


@dataclass(frozen=True)
class Runner:
    """Calls handlers out of the packages, each in a process of its own, on one pipeline."""

    packages: Path
    lambdas: Lambdas
    variables: Mapping[str, Mapping[str, str]]

    def call(self, stage: str, event: object) -> dict[str, object]:
        """Return what a handler gives for an event."""
        code = (self.packages / f"{'ingest' if stage == 'compact' else stage}.zip").read_bytes()
        function = Function(
            arn=f"arn:aws:lambda:eu-west-2:123456789012:function:{stage}",
            name=stage,
            handler=f"tidemark.aws.{stage}.handler",
            runtime=AT_HAND.runtime,
            timeout=120,
            memory_mb=2048,
            log_group=f"/aws/lambda/{stage}",
            log_format="Text",
            log_level="INFO",
            code_sha256=hashlib.sha256(code).hexdigest(),
            region="eu-west-2",
            environment=tuple(self.variables[stage].items()),
            code=code,
        )
        outcome = self.lambdas.invoke(function, json.dumps(event).encode())
        assert not outcome.error, f"{outcome.payload.decode()}\n{outcome.log}"
        answer: dict[str, object] = json.loads(outcome.payload)
        return answer

    def run(self, asked: Mapping[str, object]) -> list[dict[str, object]]:
        """Call the three stages as the state machine does."""
        event = {"input": asked, "execution": "run"}
        ingested = self.call("ingest", event)
        return [ingested, self.call("transform", event), self.call("load", {**event, "ingested": ingested})]


@pytest.fixture
def lake(s3: S3) -> str:
    """A bucket for the lake."""
    return f"s3://{s3.create_bucket()}"


@pytest.fixture
def rig(new_rig: Callable[..., Rig], postgres: Postgres, lake: str) -> Rig:
    """A small totesys whose lake lies in S3 and its pointer in Parameter Store."""
    return new_rig(small_template(postgres), place=lake)


@pytest.fixture
def runner(packages: Path, rig: Rig, lake: str, s3: S3, tmp_path: Path) -> Iterator[Runner]:
    """The handlers with the settings that Terraform gives each, but for the secrets."""
    powertools = {"POWERTOOLS_SERVICE_NAME": "tidemark"}
    common = {**s3.variables, **powertools, "TIDEMARK_MODEL": "totesys"}
    source = {"TIDEMARK_SOURCE_URL": rig.source_url, "TIDEMARK_POINTER": "ssm:/tidemark/pointer", "TIDEMARK_LAG": "5s"}
    warehouse = {"TIDEMARK_WAREHOUSE_URL": rig.warehouse_url}
    ingestion = {"TIDEMARK_INGESTION": f"{lake}/ingestion", "TIDEMARK_MEMORY_LIMIT": "1024MB"}
    processed = {"TIDEMARK_PROCESSED": f"{lake}/processed"}
    variables = {
        "ingest": {**common, **source, **ingestion},
        "transform": {**common, **ingestion, **processed},
        "load": {**common, **processed, **warehouse},
        "compact": {**common, **ingestion, **processed, **warehouse},
    }
    lambdas = Lambdas(tmp_path / "lambdas", {}, lambda *_: None)
    yield Runner(packages, lambdas, variables)
    lambdas.close()
    shutil.rmtree(tmp_path / "lambdas")


def entries(package: Path) -> list[zipfile.ZipInfo]:
    with zipfile.ZipFile(package) as archive:
        return archive.infolist()


def pinned(name: str) -> dict[str, str]:
    """Return the versions that a file of requirements pins, by library."""
    text = (REPOSITORY / "requirements" / f"{name}.txt").read_text("utf-8")
    return dict(re.findall(r"^([\w.-]+)==([^ ]+)", text, re.MULTILINE))


def test_each_package_runs_alone(runner: Runner, rig: Rig, tmp_path: Path) -> None:
    # What the packages make of changes, a backfill and a verification is proved by test_aws.py, on the deployment.
    baseline = runner.run({})
    runner.call("compact", {})

    assert [each["batch"] for each in baseline] == [1, 1, 1]
    assert rig.ledger() == [1]
    assert rig.source("select count(*) from sales_order") == [(rig.count("fact_sales_order_current"),)]
    # /var/task can only be read; the cache is Python's, which Lambda's does not write.
    written = {
        path.name
        for folder in (tmp_path / "lambdas" / "code").iterdir()
        for path in folder.iterdir()
        if path.name not in {"__pycache__", *_top_levels(runner.packages)}
    }
    assert written == set()


def _top_levels(packages: Path) -> set[str]:
    return {entry.filename.partition("/")[0] for name in FUNCTIONS for entry in entries(packages / f"{name}.zip")}


@pytest.mark.parametrize("function", PACKAGES)
def test_a_package_holds_its_libraries_and_no_other(function: str, packages: Path) -> None:
    tops = {entry.filename.partition("/")[0] for entry in entries(packages / f"{function}.zip")}
    libraries = {top.split("-")[0].replace("_", "-").lower() for top in tops if top.endswith(".dist-info")}
    modules = {top.split(".")[0] for top in tops if not top.endswith(".dist-info")}

    assert libraries == LIBRARIES[function]
    assert modules == {"tidemark"}.union(*(MODULES.get(name, {name.replace("-", "_")}) for name in libraries))


@pytest.mark.parametrize("function", PACKAGES)
def test_a_package_holds_the_stages_and_only_the_jobs_the_command_line(function: str, packages: Path) -> None:
    source = REPOSITORY / "src" / "tidemark"
    own = {entry.filename for entry in entries(packages / f"{function}.zip") if entry.filename.startswith("tidemark/")}
    left_out = () if function == JOB else ("__main__.py", "sql/demo.sql", "cli/", "embedded/")
    expected = {
        f"tidemark/{path}"
        for pattern in ("*.py", "*.sql", "*.toml", "*.csv")
        for path in (file.relative_to(source).as_posix() for file in source.rglob(pattern))
        if not path.startswith(left_out)
    }

    assert "tidemark/models/totesys/model.toml" in expected
    if function == "load":
        names = [each.name for each in (source / "dashboard" / "templates").iterdir()]
        expected |= {f"tidemark/dashboard/templates/{name}" for name in names}
        expected |= {f"tidemark/dashboard/static/{name}" for name in ("style.css", "icon.svg")}
    assert {path for path in own if not path.endswith((".md", "py.typed"))} == expected


@pytest.mark.parametrize("function", PACKAGES)
def test_a_package_holds_nothing_that_depends_on_who_builds_it(function: str, packages: Path) -> None:
    found = entries(packages / f"{function}.zip")

    assert [entry.filename for entry in found] == sorted(entry.filename for entry in found)
    assert {(entry.date_time, entry.external_attr >> 16) for entry in found} == {((1980, 1, 1, 0, 0, 0), 0o100644)}
    assert {Path(entry.filename).name for entry in found} & MADE_BY_INSTALLERS == set()
    assert [entry.filename for entry in found if entry.filename.endswith(".pyc")] == []


def test_the_same_inputs_give_the_same_bytes(packages: Path, tmp_path: Path) -> None:
    build("load", AT_HAND, tmp_path)

    first, second = ((folder / "load.zip").read_bytes() for folder in (packages, tmp_path))
    assert hashlib.sha256(first).hexdigest() == hashlib.sha256(second).hexdigest()


@pytest.mark.parametrize("architecture", ["x86_64", "arm64"])
def test_lambdas_runtime_takes_the_packages(architecture: str) -> None:
    target = Target(architecture=architecture)
    sizes = {name: sum(part.size for part in contents(name, target)) for name in FUNCTIONS}

    assert target.runtime == "python3.13"
    assert {name: size / MIB for name, size in sizes.items() if size >= 240 * MIB} == {}
    assert [wheel.name for wheel in chosen_wheels("ingest", download(target)) if not fits(wheel, architecture)] == []


@pytest.mark.parametrize("architecture", ["x86_64", pytest.param("arm64", marks=pytest.mark.exhaustive)])
def test_the_python_of_emr_takes_the_jobs_package(architecture: str) -> None:
    wheels = chosen_wheels(JOB, download(Target(JOB_RUNTIME, architecture), [JOB]))

    assert JOB_RUNTIME == "python3.11"
    assert [wheel.name for wheel in wheels if not fits(wheel, architecture, 11)] == []


def fits(wheel: Path, architecture: str, minor: int = 13) -> bool:
    """Say whether CPython 3.`minor` on Amazon Linux 2023, which has glibc 2.34, can import what lies in a wheel."""
    machine = {"x86_64": "x86_64", "arm64": "aarch64"}[architecture]
    older = {f"cp3{each}" for each in range(2, minor + 1)}
    own = f"cp3{minor}"
    for tag in parse_wheel_filename(wheel.name)[3]:
        python = tag.interpreter in {"py3", f"py3{minor}"} or (tag.interpreter, tag.abi) == (own, own)
        stable = tag.abi == "abi3" and tag.interpreter in older
        glibc = re.fullmatch(rf"manylinux_2_(\d+)_{machine}", tag.platform)
        if (python or stable) and (tag.platform == "any" or (glibc and int(glibc[1]) <= 34)):
            return True
    return False


@pytest.mark.parametrize(
    ("wheel", "expected"),
    [
        ("a-1-py2.py3-none-any.whl", True),
        ("a-1-cp311-abi3-manylinux_2_24_aarch64.whl", True),
        ("a-1-cp313-cp313-manylinux_2_27_aarch64.manylinux_2_28_aarch64.whl", True),
        ("a-1-cp313-cp313-manylinux_2_28_x86_64.whl", False),
        ("a-1-cp313-cp313-manylinux_2_35_aarch64.whl", False),
        ("a-1-cp312-cp312-manylinux_2_28_aarch64.whl", False),
        ("a-1-cp314-abi3-manylinux_2_28_aarch64.whl", False),
    ],
)
def test_the_check_of_tags_tells_wheels_apart(wheel: str, *, expected: bool) -> None:
    assert fits(Path(wheel), "arm64") == expected


def test_a_package_that_lambda_would_refuse_is_not_built() -> None:
    parts = [Part("a", "small", 100 * MIB, 0, 0, bytes), Part("b", "large", 141 * MIB, 0, 0, bytes)]

    with pytest.raises(PackageError, match=r"241\.0 MiB unpacked, expected at most 240 .* large 141\.0, small 100\.0"):
        check_size("ingest", parts)


def test_a_library_that_is_not_the_pinned_one_is_not_packed(tmp_path: Path) -> None:
    wheels = tmp_path / "wheels"
    shutil.copytree(download(AT_HAND), wheels)
    with next(wheels.glob("wrapt-*.whl")).open("ab") as wheel:
        wheel.write(b"more")

    with pytest.raises(PackageError, match=r"load\.txt pins 13 libraries, and .* holds 12 of them"):
        chosen_wheels("load", wheels)


def test_a_model_and_certificates_go_into_the_package(tmp_path: Path) -> None:
    model = tmp_path / "shop"
    shutil.copytree(REPOSITORY / "src/tidemark/models/totesys", model)
    certificates = tmp_path / "global-bundle.pem"
    certificates.write_text(CERTIFICATES, "utf-8")

    added = {part.path: part for part in contents("load", AT_HAND, Extras(model, certificates))}

    files = {path.relative_to(model).as_posix() for path in model.rglob("*") if path.is_file()}
    paths = {f"tidemark/models/shop/{name}" for name in files} | {"rds-ca.pem"}
    assert added.keys() - {part.path for part in contents("load", AT_HAND)} == paths
    assert added["rds-ca.pem"].packed() == CERTIFICATES.encode()


@pytest.mark.parametrize(
    ("argument", "problem"),
    [
        ("MODEL={}/none", "expected the directory of a model as MODEL, got {}/none"),
        ("MODEL={}/totesys", "a model totesys comes with Tidemark"),
        ("SSLROOTCERT={}/totesys/model.toml", "expected a file of PEM certificates as SSLROOTCERT, got {}/totesys"),
        ("RUNTIME=python3.11", "invalid choice: 'python3.11'"),
        ("ARCHITECTURE=mips", "invalid choice: 'mips'"),
    ],
)
def test_make_package_says_what_is_wrong(argument: str, problem: str, tmp_path: Path) -> None:
    (tmp_path / "totesys").mkdir()
    (tmp_path / "totesys" / "model.toml").touch()

    command = ["make", "package", argument.format(tmp_path)]
    made = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=False)  # noqa: S603 -- our own

    assert made.returncode != 0
    assert problem.format(tmp_path) in made.stderr


@pytest.mark.parametrize("function", PACKAGES)
def test_a_package_has_the_versions_that_the_other_tests_ran_with(function: str) -> None:
    tested = pinned("dev") | pinned("runtime")

    assert pinned(function).items() - tested.items() - {("tzdata", pinned(function)["tzdata"])} == set()


@pytest.mark.parametrize(
    ("variable", "choices", "default"),
    [("runtime", RUNTIMES, Target().runtime), ("architecture", tuple(MACHINES), Target().architecture)],
)
def test_terraform_takes_what_make_package_makes(variable: str, choices: tuple[str, ...], default: str) -> None:
    text = (REPOSITORY / "infra" / "variables.tf").read_text("utf-8")
    block = text.partition(f'variable "{variable}" {{')[2].partition("\n}\n")[0]

    assert f'default     = "{default}"' in block
    assert f"contains([{', '.join(json.dumps(choice) for choice in choices)}], var.{variable})" in block
