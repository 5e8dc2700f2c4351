"""`compact`: the same rows in fewer files, and nothing is removed that anyone may still ask for."""

import os
import threading
from collections.abc import Callable
from contextlib import nullcontext
from datetime import datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from tests.support.kept import small_template
from tests.support.library import LIBRARY, is_whole, library_template
from tests.support.older_lake import older_tidemark
from tests.support.pipeline import Rig, Row, clock, work
from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tidemark.compact import Compact, CompactReport
from tidemark.errors import ConfigError, OvertakenError
from tidemark.lake.engine import open_engine
from tidemark.lake.files import batch_of, data_files, rewrite_files, write_file
from tidemark.lake.pieces import DataFile, Rewrite, files_to_rewrite
from tidemark.lake.sqltext import Select
from tidemark.lake.table import CONFIGURATION, Change, LakeTable, add_columns, create_table, open_as_of, open_table
from tidemark.model_reader import load_model
from tidemark.objects import Objects, open_objects
from tidemark.star.star_log import StarLog
from tidemark.verification.verify import Verify

BATCHES = 4
WEEK = timedelta(days=7)
SALES = "fact/sales_order"


def in_eight_days() -> datetime:
    return clock() + timedelta(days=8)


@pytest.fixture
def template(postgres: Postgres) -> str:
    return small_template(postgres)


@pytest.fixture
def rig(small_totesys: Callable[..., Rig]) -> Rig:
    """A pipeline after four batches."""
    return small_totesys(BATCHES)


def compact(
    rig: Rig,
    *,
    loaded: int | None = BATCHES,
    now: Callable[[], datetime] = clock,
    retention: timedelta = WEEK,
    dry_run: bool = False,
    keep_orphans: bool = False,
) -> CompactReport:
    newest = None if loaded is None else lambda: loaded
    compact = Compact(rig.model, rig.ingestion, rig.processed, now, newest, retention)
    return compact.run(dry_run=dry_run, keep_orphans=keep_orphans)


def differences_of(rig: Rig) -> int:
    """Count the differences that verify finds, deep."""
    parts = (rig.model, rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url)
    return Verify(*parts, clock).run(deep=True).count


def rows(rig: Rig) -> tuple[dict[str, list[Row]], dict[str, list[dict[str, object]]]]:
    return (
        {name: rig.star(name) for name in rig.model.stars},
        {name: rig.latest(name) for name in rig.model.sources},
    )


def parquet_files(objects: Objects) -> set[str]:
    return {each.key for each in objects.list() if each.key.endswith(".parquet") and "/_delta_log/" not in each.key}


def current_files(rig: Rig) -> set[str]:
    found = set()
    places = [(rig.ingestion, f"latest/{name}") for name in rig.model.sources]
    places += [(rig.processed, star.path) for star in rig.model.stars.values()]
    for objects, path in places:
        table = open_table(objects, path)
        found |= {f"{path}/{file}" for file in table.files} if table else set()
    return found


def test_row_for_row_the_same_in_fewer_files(rig: Rig) -> None:
    before = rows(rig)

    report = compact(rig)

    assert report.tables[SALES].rewritten == BATCHES
    assert report.tables[SALES].written == 1
    table = open_table(rig.processed, SALES)
    assert table is not None
    [file] = data_files(table)
    assert (file.rows, file.last_batch) == (len(rig.star("fact_sales_order")), BATCHES)
    assert rows(rig) == before
    assert all(each.rewritten == 0 for each in compact(rig).tables.values())
    assert differences_of(rig) == 0


def test_a_dry_run_says_so_and_does_nothing(rig: Rig) -> None:
    before = rig.objects()

    report = compact(rig, now=in_eight_days, dry_run=True)

    assert report.tables[SALES].rewritten == BATCHES
    assert rig.objects() == before


def test_old_files_go_after_the_retention_and_not_before(rig: Rig) -> None:
    before = rows(rig)
    compact(rig)
    files = parquet_files(rig.processed) | parquet_files(rig.ingestion)

    assert sum(each.removed for each in compact(rig).tables.values()) == 0
    assert parquet_files(rig.processed) | parquet_files(rig.ingestion) == files

    removed = sum(each.removed for each in compact(rig, now=in_eight_days).tables.values())
    left = parquet_files(rig.processed) | parquet_files(rig.ingestion)
    assert removed == len(files) - len(left) > 0
    assert rows(rig) == before


def test_what_a_load_still_needs_stays_readable(rig: Rig) -> None:
    expected = rig.warehouse_rows()
    with psycopg.connect(rig.warehouse_url) as connection:
        connection.execute(f"truncate {', '.join(rig.model.stars)}, tidemark.batch".encode())
    compact(rig, loaded=0, now=in_eight_days)
    compact(rig, loaded=0, now=in_eight_days)

    rig.load()

    assert rig.ledger() == list(range(1, BATCHES + 1))
    assert rig.warehouse_rows() == expected


def test_a_version_that_nothing_needs_is_gone(rig: Rig) -> None:
    first = StarLog(rig.processed).manifest(2).tables["dim_staff"].version
    compact(rig, now=in_eight_days)
    compact(rig, now=in_eight_days)

    table = open_table(rig.processed, "dimension/staff", version=first)
    assert table is not None
    names = {key.rpartition("/")[2] for key in parquet_files(rig.processed)}
    assert not names.issuperset(table.files)
    last = StarLog(rig.processed).manifest(BATCHES).tables
    kept = set()
    for name, star in rig.model.stars.items():
        # The last batch that is loaded stays readable, for a rebuild of the warehouse.
        needed = open_table(rig.processed, star.path, version=last[name].version)
        assert needed is not None
        kept |= {f"{star.path}/{file}" for file in needed.files}
    assert current_files(rig) | kept == parquet_files(rig.processed) | parquet_files(rig.ingestion)


def test_the_log_before_an_old_checkpoint_goes_and_every_needed_version_stays_readable(
    new_rig: Callable[..., Rig], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CONFIGURATION, "delta.checkpointInterval", "2")
    rig = new_rig(library_template(postgres), model=str(LIBRARY))
    for loan in range(1, 7):
        rig.run()
        rig.change(
            f"update loan set fee = fee + 1 where loan_id = {loan}", f"delete from loan where loan_id = 50 + {loan}"
        )
    log = "fact/loan/_delta_log/"
    needed = StarLog(rig.processed).manifest(4).tables["fact_loan"].version
    before = {version: star_as_of(rig, version) for version in range(needed, needed + 3)}

    compact(rig, loaded=4)
    assert rig.processed.exists(f"{log}{0:020d}.json")
    compact(rig, loaded=4, now=in_eight_days)

    versions = sorted(int(each.key.removeprefix(log)[:20]) for each in rig.processed.list(f"{log}0"))
    assert needed - 2 <= versions[0] <= needed
    assert {version: star_as_of(rig, version) for version in before} == before
    rig.run()
    assert is_whole(rig)
    assert differences_of(rig) == 0


def test_tables_of_an_older_tidemark_get_the_checkpoints_of_new_ones(
    new_rig: Callable[..., Rig], postgres: Postgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as older:
        older.setitem(CONFIGURATION, "delta.checkpointInterval", "50")
        rig = new_rig(library_template(postgres), model=str(LIBRARY))
        rig.run()
    before = version_of(rig.processed, "fact/loan")

    compact(rig, loaded=1, dry_run=True)
    assert version_of(rig.processed, "fact/loan") == before
    compact(rig, loaded=1)
    compact(rig, loaded=1)
    assert version_of(rig.processed, "fact/loan") == before + 1
    table = open_table(rig.processed, "fact/loan")
    assert table is not None
    assert CONFIGURATION.items() <= table.delta.metadata().configuration.items()

    rig.run()
    assert is_whole(rig)
    assert differences_of(rig) == 0


def version_of(objects: Objects, path: str) -> int:
    table = open_table(objects, path)
    assert table is not None
    return table.version


def star_as_of(rig: Rig, version: int) -> list[Row]:
    table = open_table(rig.processed, "fact/loan", version=version)
    assert table is not None
    with open_engine([rig.processed]) as engine:
        return engine.execute(Select(f"select * from {table.rows()} order by loan_record_id")).fetchall()


def test_without_a_warehouse_no_old_file_of_the_star_goes(rig: Rig) -> None:
    compact(rig)
    files = parquet_files(rig.processed)

    report = compact(rig, loaded=None, now=in_eight_days)

    assert parquet_files(rig.processed) == files
    assert report.tables[SALES].kept == "which batches are loaded is not known"


def test_what_a_transform_still_needs_stays_readable(new_rig: Callable[..., Rig], template: str, place: str) -> None:
    rig = new_rig(template, place=place)
    rig.ingest()
    rig.transform()
    work(rig, 1)
    rig.ingest()
    states = [open_as_of(rig.ingestion, f"latest/{name}", 1) for name in rig.model.sources]

    compact(rig, loaded=0, now=in_eight_days)

    with open_engine([rig.ingestion]) as engine:
        assert all(engine.count(table.rows()) for table in states if table)
    rig.transform()
    rig.load()
    assert rig.broken_laws() == {}
    assert rig.ledger() == [1, 2]


def test_orphans_and_leftovers_go_after_the_retention(rig: Rig, tmp_path: Path) -> None:
    named = {each.key for each in rig.ingestion.list()}
    orphans = ["baseline/staff/9-2020-01-01T00-00-00.000000.jsonl", "changes/staff/9-2020-01-01T00-00-00.000000.jsonl"]
    for key in orphans:
        rig.ingestion.put_new(key, b"{}\n")
    pointer = rig.pointer.read()
    assert pointer
    an_hour_ago = clock().timestamp() - 3600
    for batch in (1, BATCHES):
        lost = f"sums/{batch:010d}-0123.json"
        rig.ingestion.put_new(lost, b"{}")
        os.utime(tmp_path / "lake" / "ingestion" / lost, (an_hour_ago, an_hour_ago))
    rig.processed.put_new(f"{SALES}/{9:010d}-killed.parquet", b"not committed")
    leftovers = [tmp_path / "lake" / bucket / ".tidemark-tmp" / "0123" for bucket in ("ingestion", "processed")]
    for path in leftovers:
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"half")

    young = compact(rig)
    assert (young.orphans, young.leftovers, young.sums) == (0, 0, 0)
    assert all(rig.ingestion.exists(key) for key in orphans)

    assert compact(rig, now=in_eight_days, dry_run=True).sums == 2
    counted = compact(rig, now=in_eight_days, keep_orphans=True)
    assert (counted.orphans, counted.leftovers, counted.sums) == (2, 2, 2)
    assert [each.key for each in rig.ingestion.list("sums/")] == [pointer.sums]
    assert all(rig.ingestion.exists(key) for key in orphans)

    old = compact(rig, now=in_eight_days)
    assert (old.orphans, old.orphan_bytes, old.leftovers) == (2, 6, 0)
    assert not any(rig.ingestion.exists(key) for key in orphans)
    assert not rig.processed.exists(f"{SALES}/{9:010d}-killed.parquet")
    assert not any(path.exists() for path in leftovers)
    logged = {key for key in named if not key.startswith("latest/")}
    assert logged == {each.key for each in rig.ingestion.list() if not each.key.startswith("latest/")}


def test_what_spark_left_in_the_bucket_goes_after_the_retention_and_nothing_beside_it(s3: S3) -> None:
    bucket = s3.create_bucket()
    processed = open_objects(f"s3://{bucket}/lake")
    ours = ["lake/tidemark-scratch/0123/000001.parquet", "lake/tidemark-scratch/0123/rows-000002/"]
    others = ["lake/tidemark-scratches/1", "tidemark-scratch/1"]
    for key in (*ours, *others):
        s3.client("s3").put_object(Bucket=bucket, Key=key, Body=b"")
    log = open_objects(f"s3://{s3.create_bucket()}")

    def left(now: Callable[[], datetime], *, dry_run: bool = False) -> tuple[int, list[str]]:
        report = Compact(load_model(str(LIBRARY)), log, processed, now, lambda: 0).run(dry_run=dry_run)
        found = s3.client("s3").list_objects_v2(Bucket=bucket)["Contents"]
        return report.leftovers, [each["Key"] for each in found]

    assert left(clock) == (0, [*ours, *others])
    assert left(in_eight_days, dry_run=True) == (2, [*ours, *others])
    assert left(in_eight_days) == (2, others)


def test_files_of_a_batch_that_may_be_done_again_are_left_alone(rig: Rig) -> None:
    table = open_table(rig.processed, SALES)
    assert table is not None
    with open_engine([rig.processed]) as engine:
        for _ in range(2):
            table = open_table(rig.processed, SALES)
            assert table is not None
            select = f"select * replace ({BATCHES + 1} as batch_id) from {table.rows()} limit 1"
            statistics = ["sales_record_id", "batch_id"]
            action = write_file(
                engine, table, Select(select), batch=BATCHES + 1, now_milliseconds=1, statistics=statistics
            )
            assert action is not None
            table.commit(Change((action,)), batch=BATCHES + 1)

    compact(rig)

    table = open_table(rig.processed, SALES)
    assert table is not None
    assert [file[:10] for file in table.files] == [f"{BATCHES + 1:010d}"] * 2 + ["compact-" + table.files[2][8:10]]


def test_a_table_that_a_run_changes_in_the_same_moment_is_left_for_the_next_time(rig: Rig) -> None:
    before = rows(rig)

    def overtaken() -> datetime:
        # Asked for each file that is written: after the table was read, before the commit.
        table = open_table(rig.processed, SALES)
        assert table is not None
        table.commit(Change(), batch=table.batch)
        return clock()

    report = compact(rig, now=overtaken)

    assert report.tables[SALES].skipped == "another run changed it at the same time"
    assert rows(rig) == before
    assert compact(rig).tables[SALES].rewritten == BATCHES


@pytest.mark.parametrize("is_older", [False, pytest.param(True, marks=pytest.mark.exhaustive)])
def test_runs_and_compactions_at_once_lose_nothing(
    new_rig: Callable[..., Rig], postgres: Postgres, *, is_older: bool
) -> None:
    with older_tidemark() if is_older else nullcontext():
        rig = new_rig(library_template(postgres), model=str(LIBRARY))
        rig.run()
    stop, failures = threading.Event(), []

    def compact_on_and_on() -> None:
        while not stop.is_set():
            try:
                compact(rig, loaded=1)
            except Exception as exc:  # noqa: BLE001 -- told to the test
                failures.append(exc)
                return

    thread = threading.Thread(target=compact_on_and_on)
    thread.start()
    try:
        for turn in range(1, 6):
            rig.change(
                f"update loan set fee = fee + 1 where loan_id % 5 = {turn - 1}",
                f"update shelf set label = label || '{turn}' where shelf_id = {turn}",
                f"insert into loan select 1000 + {turn}, shelf_id, fee, changed from loan where loan_id = {turn}",
                f"delete from loan where loan_id = 100 + {turn}",
            )
            persistently(rig.ingest)
            persistently(rig.transform)
            persistently(rig.load)
    finally:
        stop.set()
        thread.join()

    assert failures == []
    assert rig.broken_laws() == {}
    assert rig.ingest().batches == ()
    assert is_whole(rig)


def persistently(stage: Callable[[], object]) -> None:
    for _ in range(20):
        try:
            stage()
        except OvertakenError:
            continue
        return
    raise AssertionError


def test_a_file_that_lacks_a_later_column_is_read_as_null_there(rig: Rig) -> None:
    with open_engine([rig.processed]) as engine:
        for batch, columns in enumerate([{"k": "BIGINT"}, {"k": "BIGINT"}, {"k": "BIGINT", "v": "VARCHAR"}], start=1):
            table = create_table(rig.processed, "fact/grown", columns)
            table = add_columns(table, columns)
            select = f"select {batch} as k" + (", 'x' as v" if "v" in columns else "")
            action = write_file(engine, table, Select(select), batch=batch, now_milliseconds=1, statistics=["k"])
            assert action is not None
            table.commit(Change((action,)), batch=batch)
        table = opened(rig, "fact/grown")
        old = [file for file in data_files(table) if batch_of(file.path) != 3]

        rewrite_files(engine, table, [Rewrite(old, 1)], key=["k"], statistics=["k"], now_milliseconds=2)

        table = opened(rig, "fact/grown")
        assert engine.execute(Select(f"select * from {table.rows()} order by k")).fetchall() == [
            (1, None),
            (2, None),
            (3, "x"),
        ]


def opened(rig: Rig, path: str) -> LakeTable:
    table = open_table(rig.processed, path)
    assert table is not None
    return table


def test_a_large_file_is_cut_into_files_in_the_order_of_the_key(rig: Rig) -> None:
    with open_engine([rig.processed]) as engine:
        table = create_table(rig.processed, "fact/large", {"k": "BIGINT", "v": "VARCHAR"})
        select = "select range as k, md5(range::varchar) as v from range(20000) order by v"
        action = write_file(engine, table, Select(select), batch=1, now_milliseconds=1, statistics=["k"])
        assert action is not None
        table.commit(Change((action,)), batch=1)
        table = opened(rig, "fact/large")
        rewrites = files_to_rewrite(data_files(table), 0, None, largest_bytes=100_000)

        written = rewrite_files(engine, table, rewrites, key=["k"], statistics=["k"], now_milliseconds=2)

        table = opened(rig, "fact/large")
        actions = table.delta.get_add_actions(flatten=True)
        bounds = sorted(zip(actions["min.k"].to_pylist(), actions["max.k"].to_pylist(), strict=True))
        assert written == len(bounds) > 3
        assert [high + 1 for _, high in bounds[:-1]] == [low for low, _ in bounds[1:]]
        assert (bounds[0][0], bounds[-1][1]) == (0, 19999)
        for file in table.files:
            keys = [row[0] for row in engine.execute(Select(f"select k from {table.rows([file])}")).fetchall()]
            assert keys == sorted(keys)


def test_small_files_are_gathered_and_large_ones_cut() -> None:
    def file(name: str, size_bytes: int, last_batch: int | None = 1) -> DataFile:
        return DataFile(name, size_bytes, 100, last_batch)

    small, other, good, large = file("a", 10), file("b", 40, 3), file("c", 120), file("d", 300)
    files = [small, other, good, large]

    joined, cut = Rewrite([small, other], 1), Rewrite([large], 3)
    assert files_to_rewrite(files, 100, None, largest_bytes=100) == [joined, cut]
    assert files_to_rewrite(files, 100, None) == [joined]
    assert files_to_rewrite(files, 100, 2) == []
    assert files_to_rewrite([file("e", 1, None), small], 100, 2) == []
    assert files_to_rewrite([small, file("f", 41)], 100, None) == []
    assert files_to_rewrite([file("f", 49), small, file("g", 5)], 100, None) == [
        Rewrite([file("g", 5), small, file("f", 49)], 1)
    ]


def test_a_retention_under_an_hour_is_refused(rig: Rig) -> None:
    with pytest.raises(ConfigError, match="an hour or more"):
        compact(rig, retention=timedelta(minutes=5))
