"""The examples for orchestrators: each runs in a venv of its own, with the orchestrator as PyPI has it today."""

import os
import subprocess
import venv
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.support.library import LIBRARY, library_template
from tests.support.pipeline import ask
from tests.support.postgres import Postgres
from tidemark.model_reader import load_model
from tidemark.warehouse.schema import init

REPOSITORY = Path(__file__).parents[2]
EXAMPLES = REPOSITORY / "examples"
PATIENCE_SECONDS = 900


@dataclass(frozen=True)
class Orchestrator:
    """An orchestrator: its package, the commands that run its example once, and its own variables."""

    package: str
    commands: Sequence[Sequence[str]]
    variables: Mapping[str, str] = field(default_factory=dict)


ORCHESTRATORS = {
    "prefect_flow.py": Orchestrator(
        "prefect",
        [["python", "-c", "import prefect_flow; assert prefect_flow.tidemark() == [1]"]],
        {"PREFECT_SERVER_ALLOW_EPHEMERAL_MODE": "true", "PREFECT_SERVER_ANALYTICS_ENABLED": "false"},
    ),
    "dagster_job.py": Orchestrator(
        "dagster",
        [["python", "-c", "import dagster, dagster_job; assert dagster.materialize([dagster_job.warehouse]).success"]],
    ),
    "airflow_dag.py": Orchestrator(
        "apache-airflow",
        [["airflow", "db", "migrate"], ["airflow", "dags", "test", "tidemark"]],
        {"AIRFLOW__CORE__DAGS_FOLDER": str(EXAMPLES), "AIRFLOW__CORE__LOAD_EXAMPLES": "false"},
    ),
}


def test_every_example_is_run() -> None:
    assert {path.name for path in EXAMPLES.glob("*.py")} == ORCHESTRATORS.keys()


@pytest.mark.exhaustive
@pytest.mark.parametrize("example", ORCHESTRATORS)
def test_an_orchestrator_runs_the_example(
    example: str, new_database: Callable[..., str], postgres: Postgres, tmp_path: Path
) -> None:
    orchestrator = ORCHESTRATORS[example]
    source, warehouse = new_database(library_template(postgres)), new_database()
    init(warehouse, load_model(str(LIBRARY)))
    folder = tmp_path / "venv"
    venv.create(folder, with_pip=True)
    pip = [str(folder / "bin" / "pip"), "install", "--quiet", "--disable-pip-version-check"]
    environment = {
        **os.environ,  # noqa: TID251 -- for the child, as a shell would
        "PATH": f"{folder / 'bin'}:/usr/bin:/bin",
        "HOME": str(tmp_path),
        "AIRFLOW_HOME": str(tmp_path / "airflow"),
        "PYTHONPATH": f"{REPOSITORY / 'src'}:{EXAMPLES}",
        "PYTHONDONTWRITEBYTECODE": "1",
        "TIDEMARK_SOURCE_URL": source,
        "TIDEMARK_WAREHOUSE_URL": warehouse,
        "TIDEMARK_MODEL": str(LIBRARY),
        **orchestrator.variables,
    }

    def call(*command: str, cwd: Path) -> None:
        done = subprocess.run(  # noqa: S603 -- our own commands
            [str(folder / "bin" / command[0]), *command[1:]],
            cwd=cwd,
            env=environment,
            check=False,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert done.returncode == 0, (done.stdout + done.stderr)[-6000:]

    subprocess.run(  # noqa: S603 -- as above
        [*pip, orchestrator.package, "-r", str(REPOSITORY / "requirements" / "runtime.in")], check=True
    )
    for command in orchestrator.commands:
        call(*command, cwd=tmp_path)

    assert ask(warehouse, "select command, outcome from tidemark.run") == [("run", "ok")]
    assert ask(warehouse, "select count(*) > 0 from fact_loan") == [(True,)]
