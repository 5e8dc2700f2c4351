"""Where commands take their settings from: flags before or behind the command's name, environment, file."""

import subprocess
import sys
from pathlib import Path

import pytest
import typer

from tidemark.cli.options import TidemarkCommand, TidemarkGroup, _with_values, invocation
from tidemark.errors import ConfigError
from tidemark.settings import NAMES, Settings, flag


def called_with(*arguments: str) -> tuple[Settings, bool, bool]:
    """Return what a command sees of these arguments."""
    seen = []

    def probe(ctx: typer.Context) -> None:
        found = invocation(ctx)
        seen.append((found.settings, found.as_json, found.verbose))

    probing = typer.Typer(cls=TidemarkGroup, add_completion=False)
    probing.callback()(lambda: None)
    probing.command(cls=TidemarkCommand)(probe)
    probing(list(arguments), standalone_mode=False)
    return seen[0]


@pytest.fixture(autouse=True)
def _place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_every_setting_has_a_flag(name: str) -> None:
    value = {
        "source_url": "postgresql://h/x",
        "warehouse_url": "postgresql://h/x",
        "mask_salt": "a long and secret salt",
        "dashboard_token": "alongandsecrettoken",
        "lag": "7s",
        "yield_after": "7s",
        "workers": "7",
        "memory_limit": "1GB",
        "dashboard_page": "true",
        "show_values": "true",
        "freshness": "7m",
        "engine": "sail",
        "webhook_url": "https://hooks.example.com/x",
    }.get(name, "given")

    behind, _, _ = called_with("probe", flag(name), value)
    before, _, _ = called_with(flag(name), value, "probe")

    assert behind == before
    assert behind != Settings()


def test_a_flag_behind_the_name_wins_over_one_before_it() -> None:
    settings, _, _ = called_with("--model", "one", "probe", "--model", "two")

    assert settings.model == "two"


def test_flags_win_over_the_environment_and_that_over_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "tidemark.toml").write_text('model = "file"\ningestion = "file"\nprocessed = "file"\n', "utf-8")
    monkeypatch.setenv("TIDEMARK_MODEL", "environment")
    monkeypatch.setenv("TIDEMARK_INGESTION", "environment")

    settings, _, _ = called_with("probe", "--model", "flag")

    assert (settings.model, settings.ingestion, settings.processed) == ("flag", "environment", "file")


@pytest.mark.parametrize("arguments", [["--json", "-v", "probe"], ["probe", "--json", "--verbose"]])
def test_json_and_verbose_stand_before_or_behind_the_name(arguments: list[str]) -> None:
    assert called_with(*arguments)[1:] == (True, True)
    assert called_with("probe")[1:] == (False, False)


def test_quiet_and_no_color_are_no_settings_and_quiet_does_not_go_with_verbose() -> None:
    assert called_with("-q", "probe", "--no-color") == called_with("probe")
    with pytest.raises(ConfigError, match="--quiet and --verbose"):
        called_with("--quiet", "probe", "--verbose")


@pytest.mark.parametrize(
    ("given", "got"),
    [
        (["--watch"], ["--watch", "2"]),
        (["--watch", "5"], ["--watch", "5"]),
        (["--watch", "--json"], ["--watch", "2", "--json"]),
        (["--watch=5", "a"], ["--watch=5", "a"]),
        (["--", "--watch"], ["--", "--watch"]),
    ],
)
def test_an_option_may_stand_without_its_value(given: list[str], got: list[str]) -> None:
    assert list(_with_values(given)) == got


def test_options_that_are_absent_load_no_pydantic(tmp_path: Path) -> None:
    command = [sys.executable, "-X", "importtime", "-m", "tidemark", "run"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False, env={})  # noqa: S603 -- ours

    assert done.returncode == ConfigError.exit_code
    assert "| tidemark.pipeline" in done.stderr
    assert "pydantic" not in done.stderr
