"""Extras: what is said where one of their libraries is missing."""

import subprocess
import sys
from importlib import import_module

import pytest

from tidemark.errors import ConfigError
from tidemark.extras import needed_for

# Python's own way to make an import fail is None in sys.modules.
WITHOUT_POWERTOOLS = """
import sys
sys.modules["aws_lambda_powertools"] = None
from tidemark.errors import ConfigError
try:
    import tidemark.aws.{stage}
except ConfigError as exc:
    print(exc)
"""


def test_a_missing_library_is_an_error_that_says_what_to_type() -> None:
    with pytest.raises(ConfigError) as raised, needed_for("aws"):
        import_module("no_such_library.part")

    assert raised.value.advice == "pip install 'tidemark[aws]'"
    assert raised.value.facts == {"extra": "aws", "library": "no_such_library"}


def test_a_missing_module_of_our_own_is_no_missing_extra() -> None:
    with pytest.raises(ModuleNotFoundError), needed_for("aws"):
        import_module("tidemark.no_such_module")


@pytest.mark.parametrize("stage", ["ingest", pytest.param("load", marks=pytest.mark.exhaustive)])
def test_a_function_names_its_extra(stage: str) -> None:
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-c", WITHOUT_POWERTOOLS.format(stage=stage)], check=True, capture_output=True, text=True
    )

    assert done.stdout == (
        "expected the library 'aws_lambda_powertools', which is part of the extra 'aws' and is not installed: "
        "pip install 'tidemark[aws]'\n"
    )


def test_the_dashboard_names_its_extra() -> None:
    without = "import sys; sys.modules['uvicorn'] = None; from tidemark.cli import main; main()"
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-c", without, "dashboard", "--port", "0"], check=False, capture_output=True, text=True
    )

    assert done.returncode == ConfigError.exit_code
    assert "'uvicorn', which is part of the extra 'dashboard'" in " ".join(done.stderr.split())


def test_a_check_for_spark_names_its_extra() -> None:
    without = "import sys; sys.modules['sqlglot'] = None; from tidemark.cli import main; main()"
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-c", without, "model", "check", "totesys", "--engine", "spark"],
        check=False,
        capture_output=True,
        text=True,
    )

    assert done.returncode == ConfigError.exit_code
    assert "'sqlglot', which is part of the extra 'spark'" in " ".join(done.stderr.split())
