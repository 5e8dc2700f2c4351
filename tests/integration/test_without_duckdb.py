"""Load and its proof run where DuckDB and fsspec are not installed, so a load starts without their libraries."""

import json
import subprocess
import sys
from collections.abc import Callable

from tests.support.kept import small_template
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.tampering import alter_database

SCRIPT = """
import json, sys
sys.modules.update(dict.fromkeys(("duckdb", "fsspec", "sqlglot")))  # importing what is None here is an ImportError
from tidemark.load import Load
from tidemark.model_reader import load_model
from tidemark.objects import open_objects
from tidemark.verification.star_warehouse import verify_warehouse
parts = load_model("totesys"), open_objects(sys.argv[1]), sys.argv[2]
report = Load(*parts).run()
edge = verify_warehouse(*parts)
print(json.dumps({
    "batches": report.batches,
    "differing": {table.table: [table.count, table.cause] for table in edge.tables if not table.is_proven},
    "proven": sum(table.is_proven and table.left == table.right is not None for table in edge.tables),
}))
"""


def load_and_prove(rig: Rig, place: str) -> dict[str, object]:
    """Load and prove in an interpreter of its own that lacks these libraries."""
    command = [sys.executable, "-c", SCRIPT, f"{place}/processed", rig.warehouse_url]
    run = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603 -- our own script
    assert run.returncode == 0, run.stderr
    found: dict[str, object] = json.loads(run.stdout)
    return found


def test_load_and_its_proof_need_no_duckdb(postgres: Postgres, new_rig: Callable[..., Rig], place: str) -> None:
    rig = new_rig(small_template(postgres), place=place)
    rig.ingest()
    rig.transform()
    rig.change("update staff set first_name = 'Ada' where staff_id = 1", "delete from payment where payment_id = 1")
    rig.ingest()
    rig.transform()

    assert load_and_prove(rig, place) == {"batches": [1, 2], "differing": {}, "proven": len(rig.model.stars)}

    alter_database(rig.warehouse_url, "update dim_staff set last_name = 'x' where staff_id = 2")
    cause = "the star or the warehouse was altered"
    assert load_and_prove(rig, place) == {"batches": [], "differing": {"dim_staff": [1, cause]}, "proven": 10}
