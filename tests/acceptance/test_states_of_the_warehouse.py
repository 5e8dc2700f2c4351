"""Every state of ledger and tables: what the commands say of it, and that the remedy which they name works from there.

The states that differ only in what is gone are left to `make exhaustive`, and so are those that
test_ledger_and_tables.py makes too.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest

from tests.support.library import LIBRARY, after_two_batches, is_whole
from tests.support.pipeline import Rig
from tidemark import cli
from tidemark.load import Load
from tidemark.warehouse.schema import init, plan_init

OTHER = "'00000000-0000-4000-8000-000000000000'"
LATER = (
    "insert into tidemark.batch select 3, pipeline_id, run_id, captured_at, now(), model, row_counts, checksums, tables"
    " from tidemark.batch where batch = 2"
)
LATER_ROW = (
    "insert into fact_loan select loan_record_id + 9999, loan_id + 9999, shelf_id, fee, valid_from, is_deleted, 3,"
    " valid_to from fact_loan where loan_record_id = 1"
)
EMPTY, NO_TABLES = "truncate fact_loan, dim_shelf", "drop table fact_loan, dim_shelf cascade"
NO_LEDGER, NO_ROWS = "drop schema tidemark cascade", "truncate tidemark.batch"
REBUILD, INIT = "tidemark rebuild warehouse", "tidemark init"
ANEW = 'truncate "dim_shelf", "fact_loan", tidemark.batch;'


@dataclass(frozen=True)
class State:
    """What somebody did; what each command ends with and what all of them say; and what is typed then, in order."""

    harm: str
    verify: int
    doctor: int
    run: int
    words: str
    remedies: tuple[str, ...] = ()
    is_seldom: bool = True


STATES = {
    # The ledger: empty, missing, short, newer, restored, of another pipeline.
    "ledger empty": State(NO_ROWS, 6, 2, 6, "and the ledger ends with batch 0", (REBUILD,)),
    "ledger empty, tables empty": State(f"{NO_ROWS}; {EMPTY}", 0, 0, 0, "load: batches 1 to 2"),
    "ledger empty, the fact empty": State(f"{NO_ROWS}; truncate fact_loan", 0, 0, 0, "load: batches 1 to 2"),
    "ledger empty, the fact missing": State(
        f"{NO_ROWS}; drop table fact_loan cascade", 0, 2, 2, 'relation "fact_loan" does not exist', (INIT,)
    ),
    "ledger empty, tables missing": State(
        f"{NO_ROWS}; {NO_TABLES}", 0, 2, 2, "tables are missing: dim_shelf, fact_loan", (INIT,)
    ),
    "ledger missing": State(NO_LEDGER, 2, 2, 2, "tables are missing: tidemark.batch", (INIT, REBUILD)),
    "ledger missing, tables empty": State(f"{NO_LEDGER}; {EMPTY}", 2, 2, 2, "has no tables yet", (INIT,)),
    "ledger missing, tables missing": State(f"{NO_LEDGER}; {NO_TABLES}", 2, 2, 2, "has no tables yet", (INIT,)),
    "ledger missing, the dimension missing": State(
        f"{NO_LEDGER}; drop table dim_shelf cascade", 2, 2, 2, "tables are missing: dim_shelf", (INIT, REBUILD)
    ),
    "record of statements missing": State("drop table tidemark.statement", 5, 2, 0, "tidemark.statement", (INIT,)),
    "ledger of an older Tidemark": State(
        "alter table tidemark.batch drop column tables", 2, 2, 2, "a ledger of an older Tidemark", (INIT,)
    ),
    "ledger without marks": State("update tidemark.batch set tables = null", 0, 0, 0, "only what this run brings"),
    "ledger lost its first row": State(
        "delete from tidemark.batch where batch = 1", 5, 2, 6, "ends with batch 2 and has 1 rows", (REBUILD,)
    ),
    "ledger lost its last row": State(
        "delete from tidemark.batch where batch = 2", 5, 2, 6, "has rows of batch 2, and the ledger", (REBUILD,)
    ),
    "ledger lost its last row, tables empty": State(
        f"delete from tidemark.batch where batch = 2; {EMPTY}", 5, 2, 6, "and batch 1 left rows in it", (REBUILD,)
    ),
    "ledger newer": State(
        LATER, 6, 2, 6, "the warehouse ends with batch 3, but the star ends with batch 2", (REBUILD,)
    ),
    "ledger newer, rows too": State(f"{LATER}; {LATER_ROW}", 5, 2, 6, "and batch 3 left version", (REBUILD,)),
    "ledger of another time": State(
        "update tidemark.batch set captured_at = captured_at - interval '1 day'", 6, 2, 6, "was restored", (REBUILD,)
    ),
    "ledger of another pipeline": State(
        f"update tidemark.batch set pipeline_id = {OTHER}", 5, 2, 6, f"is of pipeline {OTHER[1:-1]}",
        (ANEW, "tidemark load"), is_seldom=False,
    ),
    "ledger of another pipeline, tables empty": State(
        f"update tidemark.batch set pipeline_id = {OTHER}; {EMPTY}", 5, 2, 6, f"is of pipeline {OTHER[1:-1]}",
        (ANEW, "tidemark load"),
    ),
    "first row of another pipeline": State(
        f"update tidemark.batch set pipeline_id = {OTHER} where batch = 1", 5, 2, 6, "of 2 pipelines", (REBUILD,)
    ),
    "last row of another pipeline": State(
        f"update tidemark.batch set pipeline_id = {OTHER} where batch = 2", 5, 2, 6, "of 2 pipelines", (REBUILD,)
    ),
    # The tables: empty, short, newer, another one, missing.
    "tables empty": State(EMPTY, 5, 2, 6, "fact_loan is empty, and batch 2 left rows in it", (REBUILD,)),
    "the fact short": State("delete from fact_loan where batch_id = 2", 5, 2, 6, "ends with version", (REBUILD,)),
    "the fact lost a row": State("delete from fact_loan where batch_id = 1", 5, 0, 0, "keys differ", (REBUILD,)),
    "the fact newer": State(LATER_ROW, 5, 2, 6, "has rows of batch 3, and the ledger ends with batch 2", (REBUILD,)),
    "the fact another table": State(
        "create table kept (like fact_loan including all); insert into kept select * from fact_loan;"
        " drop table fact_loan cascade; alter table kept rename to fact_loan",
        5, 2, 6, "fact_loan is another table", (REBUILD,),
    ),
    "the fact missing": State(
        "drop table fact_loan cascade", 5, 2, 6, "fact_loan is gone", (REBUILD,), is_seldom=False
    ),
    "the dimension missing": State("drop table dim_shelf cascade", 5, 2, 6, "dim_shelf is gone", (REBUILD,)),
    "a column of the dimension missing": State(
        "alter table dim_shelf drop column label", 5, 2, 2, "no column ['label']", (REBUILD,)
    ),
    "tables missing": State(NO_TABLES, 5, 2, 6, "fact_loan is gone", (REBUILD,)),
    "the fact renamed": State("alter table fact_loan rename to kept", 5, 2, 6, "fact_loan is gone", (REBUILD,)),
    # What belongs to the tables.
    "primary key missing": State(
        "alter table dim_shelf drop constraint dim_shelf_pkey cascade", 5, 2, 2, "no unique or exclusion", (INIT,)
    ),
    "foreign key missing": State(
        "alter table fact_loan drop constraint fact_loan_shelf_id_fkey", 5, 2, 0, "add constraint", (INIT,)
    ),
    "index missing": State("drop index fact_loan_current_key", 5, 2, 0, "create unique index", (INIT,)),
    "view missing": State(
        "drop view fact_loan_current", 5, 2, 0, "create or replace view fact_loan_current", (INIT,), is_seldom=False
    ),
    "function missing": State("drop function fact_loan_as_of", 5, 2, 0, "create or replace function", (INIT,)),
    "a table in place of the view": State(
        "drop view fact_loan_current; create table fact_loan_current as select 1 as one", 5, 2, 0,
        "the table fact_loan_current is not the view that the model makes", ("drop table fact_loan_current;", INIT),
    ),
}  # fmt: skip


@pytest.fixture
def rig(kept_rig: Callable[..., Rig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Rig:
    """A library's pipeline, which the commands find by their settings."""
    made = kept_rig("library after two batches", after_two_batches)
    lake = tmp_path / "lake"
    settings = {
        "SOURCE_URL": made.source_url,
        "WAREHOUSE_URL": made.warehouse_url,
        "INGESTION": str(lake / "ingestion"),
        "PROCESSED": str(lake / "processed"),
        "POINTER": str(lake / "pointer.json"),
        "MODEL": str(LIBRARY),
    }
    for name, value in settings.items():
        monkeypatch.setenv(f"TIDEMARK_{name}", value)
    return made


@pytest.fixture
def type_in(rig: Rig, capsys: pytest.CaptureFixture[str]) -> Callable[[str], tuple[int, str]]:
    """Type a command or a statement of SQL: give its exit code, and what it says on one line."""

    def typed(line: str) -> tuple[int, str]:
        if not line.startswith("tidemark "):
            with psycopg.connect(rig.warehouse_url) as connection:
                connection.execute(line.encode())
            return 0, ""
        code = cli.run(line.split()[1:])
        shown = capsys.readouterr()
        return code, " ".join((shown.out + shown.err).split())

    return typed


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.exhaustive] if each.is_seldom else []) for name, each in STATES.items()],
)
def test_each_state_is_named_and_its_remedy_works(
    rig: Rig, type_in: Callable[[str], tuple[int, str]], new_database: Callable[[], str], name: str
) -> None:
    state = STATES[name]
    type_in(state.harm)

    said = {command: type_in(f"tidemark {command}") for command in ("status", "verify", "doctor", "run")}

    codes = {command: code for command, (code, _) in said.items()}
    assert codes == {"status": 0, "verify": state.verify, "doctor": state.doctor, "run": state.run}
    heard = " ".join(text for _, text in said.values())
    assert state.words in heard
    for remedy in state.remedies:
        assert remedy in heard
        code, text = type_in(remedy)
        heard = f"{heard} {text}"
        assert code == 0 or remedy != state.remedies[-1], text
    for command in ("run", "verify --deep"):
        code, text = type_in(f"tidemark {command}")
        assert code == 0, text
    assert is_whole(rig)
    assert plan_init(rig.warehouse_url, rig.model) == []
    control = new_database()
    init(control, rig.model)
    Load(rig.model, rig.processed, control).run()
    assert Rig(**{**vars(rig), "warehouse_url": control}).warehouse_rows() == rig.warehouse_rows()
