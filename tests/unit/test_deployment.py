"""The files with which people run Tidemark: image, compose, systemd. No engine of containers is asked here."""

import configparser
import json
import re
import shutil
import subprocess
from fnmatch import fnmatch
from pathlib import Path

import pytest

from tests.support.deployed import (
    COMPOSE,
    DOCKERFILE,
    IMAGE,
    PROGRAMS,
    REPOSITORY,
    accept,
    instructions,
    is_here,
    read_yaml,
    services,
    unknown_settings,
)
from tidemark.errors import ConfigError, ContractError, DataError, StateError, TransientError

SYSTEMD = REPOSITORY / "deploy" / "systemd"
PAGE = REPOSITORY / "docs" / "deployment.md"
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|KEY$|SALT|_URL$")
OURS = {name: each for name, each in services().items() if each["image"] == IMAGE}
RUNS_TIDEMARK = {name: each for name, each in OURS.items() if "entrypoint" not in each}
SCHEMAS = {
    "compose-spec": ["compose.yml"],
    "github-workflows": [".github/workflows/*.yml"],
    "github-issue-forms": [".github/ISSUE_TEMPLATE/bug.yml", ".github/ISSUE_TEMPLATE/feature.yml"],
    "github-issue-config": [".github/ISSUE_TEMPLATE/config.yml"],
    "citation-file-format": ["CITATION.cff"],
}


def unit(name: str) -> configparser.ConfigParser:
    found = configparser.ConfigParser(strict=False, interpolation=None, comment_prefixes="#")
    found.optionxform = str  # type: ignore[assignment, method-assign]  # its names are case-sensitive
    found.read(SYSTEMD / name, "utf-8")
    return found


def page() -> str:
    return PAGE.read_text("utf-8")


@pytest.mark.parametrize("schema", SCHEMAS)
def test_each_file_of_yaml_has_the_form_of_its_schema(schema: str) -> None:
    files = [str(path) for pattern in SCHEMAS[schema] for path in REPOSITORY.glob(pattern)]

    done = subprocess.run(  # noqa: S603 -- a tool of ours
        [PROGRAMS / "check-jsonschema", "--builtin-schema", f"vendor.{schema}", *files],
        check=False,
        capture_output=True,
        text=True,
    )

    assert files
    assert (done.returncode, done.stderr) == (0, ""), done.stdout


def test_a_linter_finds_nothing_in_the_dockerfile() -> None:
    done = subprocess.run(  # noqa: S603 -- as above
        [PROGRAMS / "hadolint", DOCKERFILE], check=False, capture_output=True, text=True
    )

    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_made_by_name_version_and_hash() -> None:
    bases = [rest.split()[0] for name, rest in instructions() if name == "FROM"]
    installs = [rest for name, rest in instructions() if name == "RUN" and "pip install" in rest]

    assert [base for base in bases if not re.fullmatch(r"python:3\.\d+-slim-\w+", base)] == []
    assert len(set(bases)) == 1
    parts = [part for rest in installs for part in rest.split("&&") if "pip install" in part]
    assert len(parts) > 2
    assert [part for part in parts if "--require-hashes" not in part and "--no-index" not in part] == []


def test_the_image_copies_files_that_are_there_and_nothing_secret_can_come_along() -> None:
    patterns = (REPOSITORY / ".dockerignore").read_text("utf-8").splitlines()
    let_in = [pattern.removeprefix("!") for pattern in patterns if pattern.startswith("!")]
    copied = [
        source
        for name, rest in instructions()
        if name == "COPY" and not rest.startswith("--from")
        for source in rest.split()[:-1]
    ]

    assert patterns[1] == "*"
    assert [source for source in copied if not list(REPOSITORY.glob(source))] == []
    assert [source for source in copied if not any(fnmatch(source, pattern) for pattern in let_in)] == []
    assert [rest for name, rest in instructions() if name in {"ENV", "ARG"} and SECRET.search(rest)] == []


def test_the_image_runs_as_nobody_special_what_the_command_line_takes() -> None:
    found = dict(instructions())

    assert found["USER"] == "10001"
    assert json.loads(found["ENTRYPOINT"]) == ["tidemark"]
    accept(json.loads(found["CMD"]))
    check = json.loads(found["HEALTHCHECK"].partition(" CMD ")[2])
    assert check[:2] == ["tidemark", "status"]
    accept(check[1:])


@pytest.mark.parametrize("service", RUNS_TIDEMARK)
def test_each_service_gives_tidemark_what_it_takes(service: str) -> None:
    command = RUNS_TIDEMARK[service]["command"]
    if service == "dashboard" and not is_here("dashboard"):
        return

    accept(command)
    assert unknown_settings(OURS[service]["environment"]) == []


def test_the_extras_that_compose_builds_in_have_their_pins() -> None:
    extras = {name for each in OURS.values() for name in each["build"]["args"]["EXTRAS"].split()}

    assert {
        name for name in extras if not (REPOSITORY / "requirements" / f"{name}.txt").is_file() and is_here(name)
    } == set()


def test_compose_holds_no_secret_and_refuses_to_start_without_one() -> None:
    given = {
        (name, key): str(value)
        for name, service in services().items()
        for key, value in service.get("environment", {}).items()
        if SECRET.search(key)
    }

    assert {place for place, value in given.items() if not re.search(r"\$\{\w+:\?\}", value)} - {
        (name, key) for name in OURS for key in ("AWS_ENDPOINT_URL",)
    } - {(name, "AWS_ACCESS_KEY_ID") for name in OURS} == set()
    # A placeholder without `:?` would be an empty text where it is not set.
    assert re.findall(r"\$\{\w+(?!\w|:\?)[^}]*\}", COMPOSE.read_text("utf-8")) == []


def test_each_image_of_compose_has_a_version_and_only_this_machine_reaches_a_port() -> None:
    others = [each["image"] for each in services().values() if each["image"] != IMAGE]

    assert others
    assert [image for image in others if not re.fullmatch(r"[\w./-]+:[A-Z]*\.?\d[\w.-]*", image)] == []
    ports = [port for each in services().values() for port in each.get("ports", [])]
    assert [port for port in ports if not port.startswith("127.0.0.1:")] == []


def test_each_service_of_ours_can_do_no_more_than_it_must() -> None:
    for each in OURS.values():
        assert (each["read_only"], each["cap_drop"], each["init"]) == (True, ["ALL"], True)
        assert each["security_opt"] == ["no-new-privileges:true"]
        assert each["volumes"] == ["state:/var/lib/tidemark", "scratch:/tmp"]


def test_files_and_volumes_of_compose_are_there() -> None:
    document = read_yaml(COMPOSE)
    mounts = [volume.split(":")[0] for each in services().values() for volume in each.get("volumes", [])]

    assert {mount for mount in mounts if "/" not in mount} == set(document["volumes"])
    assert [mount for mount in mounts if "/" in mount and not (REPOSITORY / mount).is_file()] == []


def test_the_unit_runs_what_the_command_line_takes_and_knows_the_exit_codes() -> None:
    service = unit("tidemark.service")["Service"]
    program, *arguments = service["ExecStart"].split()

    assert program == "/opt/tidemark/bin/tidemark"
    accept(arguments)
    # None of these may count as success; a run that systemd stops does.
    codes = {each.exit_code for each in (ConfigError, TransientError, ContractError, DataError, StateError)}
    assert set(map(int, service["SuccessExitStatus"].split())) == {143}
    assert codes & {143} == set()
    assert unit("tidemark.timer")["Install"]["WantedBy"] == "timers.target"
    assert (SYSTEMD / "tidemark.service").stem == (SYSTEMD / "tidemark.timer").stem


def test_the_unit_reaches_nothing_of_the_machine_but_its_own_directory() -> None:
    service = unit("tidemark.service")["Service"]

    assert service["ProtectSystem"] == "strict"
    assert [name for name in ("ProtectHome", "PrivateTmp", "NoNewPrivileges") if service[name] != "yes"] == []
    assert (service["User"], service["StateDirectory"], service["StateDirectoryMode"]) == (
        "tidemark",
        "tidemark",
        "0700",
    )
    assert service["CapabilityBoundingSet"] == ""
    # Secrets come by a file that systemd reads as root, and stand in no unit, which everybody may read.
    assert service["EnvironmentFile"] == "/etc/tidemark.env"
    assert "Environment" not in service


@pytest.mark.exhaustive
def test_systemd_itself_takes_the_units_and_finds_them_closed(tmp_path: Path) -> None:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze here; on Debian or Ubuntu it is in the package systemd")
    service = (SYSTEMD / "tidemark.service").read_text("utf-8")
    # It looks for the program that a unit starts.
    (tmp_path / "tidemark.service").write_text(service.replace("/opt/tidemark/bin", str(PROGRAMS)), "utf-8")
    shutil.copy2(SYSTEMD / "tidemark.timer", tmp_path)
    units = [tmp_path / name for name in ("tidemark.service", "tidemark.timer")]

    verified = subprocess.run([program, "verify", "--man=no", *units], check=False, capture_output=True, text=True)  # noqa: S603 -- as above
    # Its scale ends with 10, for a service that may do anything; the threshold is in tenths.
    judged = subprocess.run(  # noqa: S603 -- as above
        [program, "security", "--offline=true", "--threshold=15", units[0]], check=False, capture_output=True, text=True
    )

    assert (verified.returncode, verified.stderr) == (0, "")
    assert judged.returncode == 0, judged.stdout


def test_what_the_page_writes_into_env_is_all_that_compose_wants(tmp_path: Path) -> None:
    wanted = set(re.findall(r"\$\{(\w+):\?\}", COMPOSE.read_text("utf-8")))
    (script,) = re.findall(r"^    umask 077\n    for name in .*\n(?:    .*\n)*?    done.*$", page(), re.MULTILINE)

    subprocess.run(["/bin/sh", "-euc", script], cwd=tmp_path, check=True)  # noqa: S603 -- our own page

    lines = dict(line.split("=", 1) for line in (tmp_path / ".env").read_text("utf-8").splitlines())
    assert lines.keys() == wanted
    # Such a text needs no %XX in a URL.
    assert [value for value in lines.values() if not re.fullmatch(r"[0-9a-f]{40}", value)] == []
    assert len(set(lines.values())) == len(lines)
    assert (tmp_path / ".env").stat().st_mode & 0o077 == 0


def test_the_services_and_units_that_the_page_names_are_there() -> None:
    named = re.findall(r"docker compose (?:up|logs|run|exec|stop|build)((?: --?[\w-]+)*) ?([a-z]*)", page())
    units = re.findall(r"\btidemark\.(?:service|timer)\b", page())

    assert {service for _, service in named if service} - set(services()) == set()
    assert len(named) > 1
    assert {name for name in units if not (SYSTEMD / name).is_file()} == set()


def test_the_line_for_cron_is_one_that_the_command_line_takes() -> None:
    (line,) = re.findall(r"^    (\*/10 .*)$", page(), re.MULTILINE)
    minute, hour, day, month, weekday, command = line.split(maxsplit=5)

    assert (minute, hour, day, month, weekday) == ("*/10", "*", "*", "*", "*")
    # cron ends a command at a bare percent sign.
    assert "%" not in command
    accept(command.rpartition("tidemark ")[2].split())
