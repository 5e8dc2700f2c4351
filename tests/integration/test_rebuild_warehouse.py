"""`rebuild warehouse`: rows that differ are changed where they are, and what a warehouse has lost comes back."""

import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.library import LIBRARY, after_three_batches, library_template
from tests.support.pipeline import Rig, Row, as_text, clock
from tests.support.postgres import Postgres
from tidemark.errors import ConfigError, DataError
from tidemark.model_reader import load_model
from tidemark.rebuild import Rebuild
from tidemark.rebuild_warehouse import RebuildWarehouse
from tidemark.verification.star_warehouse import verify_warehouse
from tidemark.warehouse.roles import ROLES, role_sql
from tidemark.warehouse.schema import init

PLACES = "select tableoid::regclass::text, ctid::text, xmin::text from {} order by 1, 2"
# What somebody did to rows of the warehouse: rows change places within the unique indexes of the fact, versions that
# are current change with others that are not, and rows are wrong, missing and too many.
WRONG_ROWS = (
    "drop index fact_loan_current_key, fact_loan_history_key",
    "update fact_loan set loan_id = 38 - loan_id where loan_id in (17, 21)",
    "update fact_loan set valid_to = case when valid_to is null then now() end where loan_id in (17, 22, 30)",
    "update fact_loan set fee = fee + 1 where loan_record_id = 100",
    "update dim_shelf set label = 'forged' where shelf_id = 2",
    "delete from fact_loan where loan_record_id = 50",
    "insert into dim_shelf values (999, 'forged')",
    "insert into fact_loan select loan_record_id + 5000, 500 + loan_id, 999, 0, now(), false, 1 from fact_loan limit 3",
    "create unique index fact_loan_history_key on fact_loan (loan_id, valid_from)",
    "create unique index fact_loan_current_key on fact_loan (loan_id) where valid_to is null",
)
# What a warehouse lost. With its columns it loses the keys, indexes and views that are over them.
LOSSES = {
    "alter table fact_loan drop column fee cascade; alter table dim_shelf drop column label": r"dim_shelf\.label is",
    "alter table fact_loan drop column loan_record_id cascade; alter table dim_shelf drop column shelf_id cascade": (
        r"fact_loan\.loan_record_id is to be added"
    ),
    "alter table fact_loan drop column loan_id cascade; alter table fact_loan drop column valid_to cascade": (
        r"fact_loan\.valid_to is to be added"
    ),
    "alter table fact_loan alter fee drop not null; update fact_loan set fee = null where loan_id = 7": "null values",
    "alter table fact_loan drop constraint fact_loan_pkey; drop index fact_loan_history_key, fact_loan_current_key;"
    "insert into fact_loan select * from fact_loan where loan_id < 9": "could not create unique index",
    "alter table fact_loan drop constraint fact_loan_shelf_id_fkey;"
    "update fact_loan set shelf_id = 77 where loan_id = 7": "violates foreign key",
}
COLUMNS = {
    "dim_shelf": "shelf_id, label",
    "fact_loan": "loan_record_id, loan_id, shelf_id, fee, valid_from, is_deleted, batch_id, valid_to",
}


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    """A library's pipeline after three batches of inserts, updates and deletes."""
    return kept_rig("library after three batches", after_three_batches)


@pytest.fixture
def as_loader(rig: Rig) -> Iterator[Rig]:
    """The same pipeline, whose warehouse is written by a role with the rights that docs/operations.md names."""
    role = ROLES["warehouse"]
    tables = ", ".join(rig.model.stars)
    harm(
        rig,
        role_sql(rig.model, "warehouse"),
        f"grant delete on {tables} to {role}",
        f"grant update, delete on tidemark.batch to {role}",
    )
    yield replace(rig, warehouse_url=rig.warehouse_url.replace("postgres@", f"{role}@", 1))
    harm(rig, f"drop owned by {role}; drop role {role}")


def harm(rig: Rig, *statements: str) -> None:
    with psycopg.connect(rig.warehouse_url) as connection:
        for statement in statements:
            connection.execute(statement.encode())


def rebuilt(rig: Rig) -> dict[str, tuple[int, int]]:
    report = RebuildWarehouse(rig.model, rig.processed, rig.warehouse_url).run()
    assert report.is_in_place
    return {name: (each.missing, each.surplus) for name, each in report.tables.items()}


def is_proven(rig: Rig) -> bool:
    tables = verify_warehouse(rig.model, rig.processed, rig.warehouse_url).tables
    return all(table.is_proven for table in tables) and not rig.broken_laws()


def places(rig: Rig) -> set[Row]:
    """Give where each row of the warehouse lies, and which transaction wrote it."""
    tables = (*rig.model.stars, "tidemark.batch", "tidemark.statement")
    return {row for table in tables for row in rig.warehouse(PLACES.format(table))}


def test_a_rebuild_of_an_intact_warehouse_writes_no_row_and_needs_no_further_rights(rig: Rig, as_loader: Rig) -> None:
    before = places(rig)

    assert set(rebuilt(as_loader).values()) == {(0, 0)}

    assert places(rig) == before


def test_only_rows_that_differ_are_written_and_rows_that_others_refer_to_stay(rig: Rig, as_loader: Rig) -> None:
    rows = rig.warehouse_rows()
    harm(rig, *WRONG_ROWS, "create table note (loan bigint references fact_loan)")
    harm(rig, "insert into note select loan_record_id from fact_loan where loan_record_id between 1 and 5000")
    before = places(rig)

    found = rebuilt(as_loader)

    assert rig.warehouse_rows() == rows
    assert is_proven(rig)
    assert found["dim_shelf"] == (1, 2)
    missing, surplus = found["fact_loan"]
    assert surplus - missing == len(range(1, 4)) - 1
    assert len(before & places(rig)) == len(before) - sum(each for _, each in found.values())
    assert rig.warehouse("select count(*) from note") == [(len(rows["fact_loan"]) - 1,)]


@pytest.mark.parametrize("when", ["", " on delete no action deferrable initially deferred"])
def test_a_row_that_has_to_go_while_another_table_refers_to_it_is_named(rig: Rig, when: str) -> None:
    rows = rig.warehouse_rows()
    harm(
        rig,
        "insert into fact_loan select 5001, 5001, shelf_id, fee, valid_from, is_deleted, 1 from fact_loan limit 1",
        f"create table note (loan bigint references fact_loan{when})",
        "insert into note values (1), (5001)",
    )
    before = places(rig)

    with pytest.raises(DataError, match=r"public\.note refer to rows of fact_loan") as raised:
        rebuilt(rig)

    assert "loan_record_id: 5001;" in raised.value.advice
    assert places(rig) == before
    harm(rig, "delete from note where loan = 5001")
    rebuilt(rig)
    assert rig.warehouse_rows() == rows


def test_what_a_warehouse_lost_comes_back_with_its_rows(rig: Rig) -> None:
    rows = {name: as_text(rig.warehouse_url, f"select {columns} from {name}") for name, columns in COLUMNS.items()}
    for loss, words in LOSSES.items():
        harm(rig, loss)
        with pytest.raises((ConfigError, DataError), match=words) as raised:
            init(rig.warehouse_url, rig.model)
        assert raised.value.advice.startswith("tidemark rebuild warehouse "), loss

        rebuilt(rig)

        for name, columns in COLUMNS.items():
            assert as_text(rig.warehouse_url, f"select {columns} from {name}") == rows[name], loss
    assert init(rig.warehouse_url, rig.model) == []
    rig.run()
    assert is_proven(rig)


def test_a_lost_column_that_may_be_null_is_filled_after_init(
    new_rig: Callable[..., Rig], postgres: Postgres, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(LIBRARY, tmp_path / "model"))
    text = (folder / "warehouse.sql").read_text()
    (folder / "warehouse.sql").write_text(text.replace("label varchar not null", "label json"))
    (folder / "dimension" / "shelf.sql").write_text("select shelf_id, to_json(label)::varchar as label from shelf")
    rig = new_rig(library_template(postgres), model=str(folder))
    rig.run()
    rows = rig.warehouse_rows()
    harm(rig, "alter table dim_shelf drop column label")

    assert len(init(rig.warehouse_url, rig.model)) > 0
    harm(rig, "update dim_shelf set label = '\"shelf 3\"' where shelf_id = 3")

    assert rebuilt(rig)["dim_shelf"] == (len(rows["dim_shelf"]) - 1, len(rows["dim_shelf"]) - 1)
    assert rig.warehouse_rows() == rows


def test_a_right_that_rebuild_lacks_is_named_with_the_grant(rig: Rig, as_loader: Rig) -> None:
    role = ROLES["warehouse"]
    harm(rig, f"revoke delete on fact_loan from {role}", "insert into dim_shelf values (999, 'x')")
    harm(rig, f"revoke delete on dim_shelf from {role}")

    with pytest.raises(ConfigError, match="permission denied for table dim_shelf") as raised:
        rebuilt(as_loader)

    harm(rig, raised.value.advice.partition(", or run")[0])
    assert rebuilt(as_loader)["dim_shelf"] == (0, 1)


def test_a_not_null_column_that_the_star_lacks_is_an_error_and_nothing_is_changed(rig: Rig, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(LIBRARY, tmp_path / "model"))
    text = (folder / "warehouse.sql").read_text()
    (folder / "warehouse.sql").write_text(
        text.replace("label varchar not null", "label varchar not null,\n    n integer not null")
    )
    before = places(rig)

    with pytest.raises(DataError, match="the star holds rows that break a rule") as raised:
        rebuilt(replace(rig, model=load_model(str(folder))))

    assert "tidemark rebuild star --accept-differences" in raised.value.advice
    assert places(rig) == before


def test_columns_that_are_renamed_and_columns_of_others_keep_no_row_out(rig: Rig, tmp_path: Path) -> None:
    harm(rig, *(f"alter table {name} add added_by_hand text not null default 'x'" for name in rig.model.stars))
    folder = Path(shutil.copytree(LIBRARY, tmp_path / "model"))
    for file in ("model.toml", "warehouse.sql", "fact/loan.sql", "dimension/shelf.sql"):
        text = (folder / file).read_text()
        at = text.find("[star.") if file == "model.toml" else 0
        source, star = text[:at], text[at:]
        # The key of a dimension with the reference to it, and columns that were not null.
        for name in ("shelf_id", "label", "fee"):
            new = f"{name} as new_{name}" if file.endswith(("loan.sql", "shelf.sql")) else f"new_{name}"
            star = re.sub(rf"\b{name}\b", new, star)
        (folder / file).write_text(source + star)
    renamed = replace(rig, model=load_model(str(folder)))
    with pytest.raises(ConfigError, match="to be added") as raised:
        init(renamed.warehouse_url, renamed.model)

    assert "tidemark rebuild star --accept-differences" in raised.value.advice
    Rebuild(renamed.model, renamed.ingestion, renamed.processed, clock, accepts=True).star()
    assert rebuilt(renamed) == {"dim_shelf": (21, 21), "fact_loan": (207, 207)}
    assert init(renamed.warehouse_url, renamed.model) == []
    renamed.change("insert into shelf values (400, 'new', now())", "update loan set fee = 3 where loan_id in (7, 8)")
    renamed.run()

    assert is_proven(renamed)
    assert renamed.warehouse("select count(*) from fact_loan_current where new_fee = 3 and fee is null") == [(2,)]
