"""What becomes of a run when a part of it fails: success in the end, or an error that says what to do; never harm."""

import resource
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from tests.support.kills import OVERTAKEN, Addresses, end_of, start
from tests.support.pipeline import Rig
from tests.support.postgres import Postgres
from tests.support.s3 import S3
from tests.support.wires import Fault, before_s3, wire_to
from tidemark.errors import DataError, StateError, TransientError
from tidemark.log.changelog import manifest_key
from tidemark.objects import Objects, open_objects

LIBRARY = Path(__file__).parent.parent / "models" / "library"
MORE = (
    "insert into loan values (300, 7, 2.25, '2024-11-05 09:00')",
    "update loan set fee = 9.99, changed = '2024-11-05 09:01' where loan_id = 21",
    "delete from loan where loan_id = 22",
    "update shelf set label = 'maps', changed = '2024-11-05 09:02' where shelf_id = 4",
)


@pytest.fixture
def library(postgres: Postgres, new_rig: Callable[..., Rig]) -> Callable[..., Rig]:
    """Make a library's pipeline: `library(place=None)`, with rows in the source and nothing else."""

    def build(url: str) -> None:
        with psycopg.connect(url) as connection:
            for name in ("schema.sql", "rows.sql"):
                connection.execute((LIBRARY / name).read_bytes())

    return lambda place=None: new_rig(postgres.template("library", build), model=str(LIBRARY), place=place)


@pytest.fixture
def rig(library: Callable[..., Rig]) -> Rig:
    """A library's pipeline with two batches, and changes in the source that no run has seen."""
    made = library()
    made.run()
    made.change((LIBRARY / "activity.sql").read_text("utf-8"))
    made.run()
    made.change(*MORE)
    return made


def is_whole(rig: Rig) -> bool:
    """Say whether source, latest, star and warehouse hold the same, and each change of the log is a version, once."""
    loans, shelves = (rig.source(f"select * from {name} order by 1") for name in ("loan", "shelf"))
    changes = sum(manifest.tables["loan"].changes for manifest in rig.manifests())
    current = "select loan_id, shelf_id, fee from fact_loan where valid_to is null and not is_deleted order by 1"
    return (
        rig.warehouse(current) == [row[:3] for row in loans]
        and rig.warehouse("table dim_shelf order by 1") == [row[:2] for row in shelves]
        and [row["loan_id"] for row in rig.latest("loan")] == [row[0] for row in loans]
        and rig.warehouse("select loan_record_id from fact_loan order by 1") == [(n,) for n in range(1, changes + 1)]
        and [row[:4] for row in rig.star("fact_loan")]
        == rig.warehouse("select loan_record_id, loan_id, shelf_id, fee from fact_loan order by 1")
        and rig.ledger() == list(range(1, rig.newest().batch + 1))
    )


def file_of(objects: Objects, prefix: str, *, last: bool = True, suffix: str = "") -> Path:
    """Return the first or the last file whose key begins and ends so."""
    found = [each.key for each in objects.list(prefix) if each.key.endswith(suffix)]
    path = objects.local_path(found[-1 if last else 0])
    assert path is not None
    return path


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def alter(path: Path) -> None:
    """Change digits in the middle, so that the file keeps its length."""
    body = bytearray(path.read_bytes())
    middle = len(body) // 2
    body[middle : middle + 16] = bytes(each ^ 1 for each in body[middle : middle + 16])
    path.write_bytes(body)


def delete(path: Path) -> None:
    path.unlink()


HARMS = (truncate, alter, delete)


@contextmanager
def harmed(path: Path, harm: Callable[[Path], None]) -> Iterator[None]:
    """Harm a file for the length of the block."""
    kept = path.with_name(f"{path.name}.kept")
    shutil.copy2(path, kept)
    # Not in place: the store may have linked the file under a second name.
    path.unlink()
    shutil.copy2(kept, path)
    harm(path)
    yield
    kept.replace(path)


class TestDatabases:
    @pytest.mark.parametrize("share", [0.2, 0.5, 0.8])
    def test_a_source_that_goes_away_in_the_middle_of_a_read_is_read_again(
        self, library: Callable[..., Rig], tmp_path: Path, share: float
    ) -> None:
        with wire_to(library().source_url) as wire:
            replace(library(str(tmp_path / "other")), source_url=wire.url).ingest()
            whole_bytes = wire.bytes_passed
        rig = library()
        with wire_to(rig.source_url) as wire:
            through = replace(rig, source_url=wire.url)
            wire.breaks_after_bytes = int(whole_bytes * share)
            with pytest.raises(TransientError, match="run again"):
                through.ingest()
            assert wire.breaks == 1
            assert not rig.ingestion.exists(manifest_key(1))

            wire.breaks_after_bytes = None
            through.run()
        assert is_whole(rig)

    @pytest.mark.parametrize("moment", [b"copy ", b"update ", b"insert into tidemark.batch", b"COMMIT"])
    def test_a_warehouse_that_goes_away_in_the_middle_of_a_load_is_loaded_again(self, rig: Rig, moment: bytes) -> None:
        rig.ingest()
        rig.transform()
        with wire_to(rig.warehouse_url) as wire:
            through = replace(rig, warehouse_url=wire.url)
            wire.on_query = lambda block: moment in block
            with pytest.raises(TransientError, match="run again"):
                through.load()
            assert wire.breaks == 1

            wire.on_query = lambda _: False
            through.load()
        assert is_whole(rig)

    def test_a_source_url_that_leads_to_another_database_is_refused(
        self, rig: Rig, library: Callable[..., Rig]
    ) -> None:
        with pytest.raises(StateError, match="TIDEMARK_SOURCE_URL"):
            replace(rig, source_url=library().source_url).ingest()
        rig.run()
        assert is_whole(rig)

    def test_a_clock_of_the_source_that_jumps_back_an_hour_hides_and_disorders_nothing(self, rig: Rig) -> None:
        rig.change("update loan set fee = 1, changed = clock_timestamp() at time zone 'UTC' where loan_id = 30")
        rig.run()
        name = rig.source("select current_database()")[0][0]
        rig.change(
            "create schema earlier",
            "create function earlier.clock_timestamp() returns timestamptz language sql volatile"
            " as 'select pg_catalog.clock_timestamp() - interval ''1 hour'''",
            f"alter database {name} set search_path to earlier, public, pg_catalog",
        )

        rig.change("update loan set fee = 2, changed = clock_timestamp() at time zone 'UTC' where loan_id in (30, 31)")
        rig.run()
        assert rig.manifests()[-1].captured_at < rig.manifests()[-2].captured_at
        assert is_whole(rig)
        rig.change("delete from loan where loan_id = 31")
        rig.run()
        rig.change(f"alter database {name} reset search_path")
        rig.change("update loan set fee = 3, changed = clock_timestamp() at time zone 'UTC' where loan_id in (30, 32)")
        rig.run()

        assert is_whole(rig)
        versions = rig.versions("fact_loan", 30)
        assert [int(row["fee"]) for row in versions[-3:]] == [1, 2, 3]
        assert [row["valid_to"] for row in versions] == [*(row["valid_from"] for row in versions[1:]), None]


class TestS3:
    @pytest.fixture
    def on_s3(self, s3: S3, library: Callable[..., Rig]) -> Rig:
        made = library(f"s3://{s3.create_bucket()}")
        made.run()
        made.change(*MORE)
        return made

    @staticmethod
    def through(rig: Rig, s3: S3, address: str) -> int:
        """Run the stages by way of another address, and give the exit code.

        In a process of their own: delta-rs waits for an answer while it holds the interpreter lock, and the server at
        that address would wait for the lock.
        """
        place = rig.processed.url("x").removesuffix("/processed/x")
        environment = {**s3.variables, "AWS_ENDPOINT_URL": address}
        site = Addresses(
            str(LIBRARY), rig.source_url, rig.warehouse_url, place, "ssm:/tidemark/pointer", environment=environment
        )
        return end_of(start(site))

    @pytest.mark.parametrize(
        "answer",
        [
            503,
            "lost",
            pytest.param(500, marks=pytest.mark.exhaustive),
            pytest.param(0.2, marks=pytest.mark.exhaustive),
        ],
    )
    def test_answers_that_fail_are_lost_or_are_slow_now_and_then_are_asked_for_again(
        self, on_s3: Rig, s3: S3, answer: float | str
    ) -> None:
        count = iter(range(1_000_000))
        fault = Fault(lambda method, _: answer if method == "GET" and next(count) % 7 == 3 else None)
        with before_s3(s3, fault) as address:
            assert self.through(on_s3, s3, address) == 0
        assert len(fault.seen) > 5
        assert is_whole(on_s3)

    def test_an_s3_that_answers_503_and_nothing_else_ends_the_run_for_now(
        self, on_s3: Rig, s3: S3, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("AWS_MAX_ATTEMPTS", "2")
        fault = Fault(lambda method, path: 503 if method == "PUT" and "changes/" in path else None)
        with before_s3(s3, fault) as address:
            monkeypatch.setenv("AWS_ENDPOINT_URL", address)
            ingestion = open_objects(on_s3.ingestion.url("x").removesuffix("/x"))
            with pytest.raises(TransientError, match="run it again"):
                replace(on_s3, ingestion=ingestion).ingest()
        monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint_url)
        on_s3.run()
        assert is_whole(on_s3)

    @pytest.mark.parametrize(
        "path",
        [
            "/changes/",
            "/latest/loan/_delta_log/",
            "ingestion/batches/",
            "/fact/",
            "/fact/loan/_delta_log/",
            "processed/batches/",
            # A data file and a commit of Delta once more.
            pytest.param("/latest/", marks=pytest.mark.exhaustive),
            pytest.param("/dimension/shelf/_delta_log/", marks=pytest.mark.exhaustive),
        ],
    )
    def test_a_put_that_arrived_although_its_answer_was_lost_counts_once(self, on_s3: Rig, s3: S3, path: str) -> None:
        fault = Fault(lambda method, at: "lost" if method == "PUT" and path in at else None, times=1)
        with before_s3(s3, fault) as address:
            ended = self.through(on_s3, s3, address)
            assert ended in {0, OVERTAKEN}
            if ended:
                assert self.through(on_s3, s3, address) == 0
        assert len(fault.seen) == 1
        assert is_whole(on_s3)


class TestDisk:
    @pytest.mark.parametrize("stage", ["ingest", "transform"])
    @pytest.mark.parametrize("limit_bytes", [100, 1_000, 3_000])
    def test_a_full_disk_ends_the_run_for_now_and_harms_nothing(self, rig: Rig, stage: str, limit_bytes: int) -> None:
        rig.change("update loan set fee = fee + 1")
        if stage == "transform":
            rig.ingest()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit_bytes, hard))
        try:
            with pytest.raises(TransientError, match=r"check the disk|check disk"):
                getattr(rig, stage)()
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        rig.run()
        assert is_whole(rig)


class TestState:
    def test_a_lost_pointer_is_made_again(self, rig: Rig, tmp_path: Path) -> None:
        (tmp_path / "lake" / "pointer.json").unlink()
        rig.run()
        assert is_whole(rig)

    def test_a_stale_pointer_reads_a_little_more_and_changes_nothing(self, rig: Rig, tmp_path: Path) -> None:
        pointer = tmp_path / "lake" / "pointer.json"
        stale = pointer.read_bytes()
        rig.run()
        rig.change("update loan set fee = 4.5, changed = '2024-11-06 09:00' where loan_id = 40")
        rig.run()
        pointer.write_bytes(stale)
        assert [report.batches for report in rig.run()] == [(), (), ()]
        assert is_whole(rig)

    @pytest.mark.parametrize("wrong", ["ahead", "of another pipeline", "no pointer"])
    def test_a_wrong_pointer_is_refused(
        self, rig: Rig, library: Callable[..., Rig], tmp_path: Path, wrong: str
    ) -> None:
        pointer = tmp_path / "lake" / "pointer.json"
        right = pointer.read_text()
        if wrong == "ahead":
            pointer.write_text(right.replace('"batch": 2', '"batch": 7'))
        elif wrong == "of another pipeline":
            library(str(tmp_path / "other")).run()
            shutil.copy(tmp_path / "other" / "pointer.json", pointer)
        else:
            pointer.write_text("what is this?")
        with pytest.raises(StateError, match=r"delete|TIDEMARK_POINTER"):
            rig.ingest()
        assert rig.newest().batch == 2

        pointer.write_text(right)
        rig.run()
        assert is_whole(rig)

    def test_a_log_that_was_begun_anew_is_not_mixed_with_what_came_of_the_old_one(
        self, rig: Rig, tmp_path: Path
    ) -> None:
        lake = tmp_path / "lake"
        before = rig.warehouse_rows()
        shutil.rmtree(lake / "ingestion")
        with pytest.raises(StateError, match="TIDEMARK_INGESTION"):
            rig.ingest()

        (lake / "pointer.json").unlink()
        rig.ingest()
        with pytest.raises(StateError, match="TIDEMARK_INGESTION and TIDEMARK_PROCESSED"):
            rig.transform()

        shutil.rmtree(lake / "processed")
        rig.transform()
        with pytest.raises(StateError, match="TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL"):
            rig.load()
        # Also once it has as many batches as the old one had.
        for fee in range(3):
            rig.change(f"update loan set fee = {fee}, changed = '2024-11-07 09:0{fee}' where loan_id = 50")
            rig.ingest()
        rig.transform()
        with pytest.raises(StateError, match="TIDEMARK_PROCESSED and TIDEMARK_WAREHOUSE_URL"):
            rig.load()
        assert rig.warehouse_rows() == before

    def test_a_star_that_is_gone_is_made_again_from_the_log(self, rig: Rig, tmp_path: Path) -> None:
        shutil.rmtree(tmp_path / "lake" / "processed")
        rig.run()
        assert is_whole(rig)


class TestRecords:
    @pytest.mark.parametrize("harm", HARMS)
    def test_an_object_of_the_log_is_checked_before_it_is_transformed(
        self, rig: Rig, harm: Callable[[Path], None]
    ) -> None:
        rig.ingest()
        path = file_of(rig.ingestion, "changes/loan/")
        with harmed(path, harm), pytest.raises(StateError, match="restore changes/loan/") as caught:
            rig.transform()
        assert caught.value.key == f"changes/loan/{path.name}"
        rig.run()
        assert is_whole(rig)

    def test_an_object_on_s3_is_checked_before_it_is_transformed(self, s3: S3, library: Callable[..., Rig]) -> None:
        rig = library(f"s3://{s3.create_bucket()}")
        rig.ingest()
        (key,) = [each.key for each in rig.ingestion.list("baseline/loan/")]
        body = rig.ingestion.get(key)
        rig.ingestion.delete([key])
        rig.ingestion.put_new(key, body.replace(b"0.17", b"0.71"))
        with pytest.raises(StateError, match="restore baseline/loan/"):
            rig.transform()
        rig.ingestion.delete([key])
        with pytest.raises(StateError, match="is not there"):
            rig.transform()
        rig.ingestion.put_new(key, body)
        rig.run()
        assert is_whole(rig)

    @pytest.mark.parametrize("harm", HARMS)
    def test_an_object_of_the_log_is_checked_before_latest_is_made_of_it(
        self, rig: Rig, tmp_path: Path, harm: Callable[[Path], None]
    ) -> None:
        shutil.rmtree(tmp_path / "lake" / "ingestion" / "latest")
        with (
            harmed(file_of(rig.ingestion, "baseline/loan/"), harm),
            pytest.raises(StateError, match="restore baseline/loan/"),
        ):
            rig.ingest()
        assert rig.newest().batch == 2
        rig.run()
        assert is_whole(rig)

    @pytest.mark.parametrize("batch", [1, 2])
    @pytest.mark.parametrize("harm", [truncate, delete])
    @pytest.mark.parametrize("store", ["ingestion", "processed"])
    def test_a_manifest_that_cannot_be_read_stops_the_stage_that_needs_it(
        self, rig: Rig, store: str, batch: int, harm: Callable[[Path], None]
    ) -> None:
        objects: Objects = getattr(rig, store)
        path = objects.local_path(manifest_key(batch))
        assert path is not None
        with harmed(path, harm):
            try:
                rig.run()
            except StateError as exc:
                assert "older versions" in exc.advice or "TIDEMARK_" in exc.advice  # noqa: PT017 -- it may not be needed
            else:
                # An old one is not read again, and the star's newest, if it is gone, is made from the log again.
                assert batch == 1 or (store, harm) == ("processed", delete)
        rig.run()
        assert is_whole(rig)

    @pytest.mark.parametrize("harm", HARMS)
    @pytest.mark.parametrize("table", ["fact/loan/", "dimension/shelf/"])
    def test_a_data_file_of_the_star_that_is_harmed_stops_the_load(
        self, rig: Rig, table: str, harm: Callable[[Path], None]
    ) -> None:
        rig.ingest()
        rig.transform()
        with (
            harmed(file_of(rig.processed, f"{table}0000000003", suffix=".parquet"), harm),
            pytest.raises((StateError, DataError), match="tidemark rebuild"),
        ):
            rig.load()
        assert rig.ledger() == [1, 2]
        rig.run()
        assert is_whole(rig)

    # What was altered so that it can still be read is for `tidemark verify` to find.
    @pytest.mark.parametrize("harm", [truncate, delete])
    def test_a_data_file_of_latest_that_is_harmed_stops_the_poll(self, rig: Rig, harm: Callable[[Path], None]) -> None:
        with (
            harmed(file_of(rig.ingestion, "latest/loan/0000000002", suffix=".parquet"), harm),
            pytest.raises(StateError, match="tidemark rebuild latest"),
        ):
            rig.ingest()
        assert rig.newest().batch == 2
        rig.run()
        assert is_whole(rig)

    @pytest.mark.parametrize("entry", [0, 1, 2])
    @pytest.mark.parametrize("table", ["fact/loan", "dimension/shelf", "latest/loan"])
    def test_a_missing_entry_of_a_delta_log_is_made_good_or_refused(
        self, rig: Rig, tmp_path: Path, table: str, entry: int
    ) -> None:
        store = rig.ingestion if table.startswith("latest") else rig.processed
        path = store.local_path(f"{table}/_delta_log/{entry:020d}.json")
        assert path is not None
        assert path.exists()
        newest = store.local_path(f"{table}/_delta_log/{entry + 1:020d}.json")
        is_newest = newest is not None and not newest.exists()
        kept = tmp_path / "kept"
        path.rename(kept)
        try:
            rig.run()
        except StateError as exc:
            assert "tidemark rebuild" in exc.advice  # noqa: PT017 -- what was lost last can be made good
            kept.rename(path)
            rig.run()
        else:
            assert is_newest
            assert table == "latest/loan"
        assert is_whole(rig)
