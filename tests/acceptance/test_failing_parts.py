"""What becomes of a run when a part of it fails: success in the end, or an error that says what to do; never harm."""

import resource
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.kills import OVERTAKEN, Addresses, end_of, start
from tests.support.library import LIBRARY, after_one_batch, after_two_batches, is_whole
from tests.support.pipeline import Rig
from tests.support.s3 import S3
from tests.support.wires import Fault, before_s3, wire_to
from tidemark.errors import TransientError
from tidemark.log.changelog import manifest_key
from tidemark.objects import open_objects


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    """A library's pipeline with two batches, and changes in the source that no run has seen."""
    return kept_rig("library after two batches", after_two_batches)


@pytest.mark.parametrize("share", [0.2, pytest.param(0.5, marks=pytest.mark.exhaustive), 0.8])
def test_a_source_that_goes_away_in_the_middle_of_a_read_is_read_again(
    library: Callable[..., Rig], tmp_path: Path, share: float
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
def test_a_warehouse_that_goes_away_in_the_middle_of_a_load_is_loaded_again(rig: Rig, moment: bytes) -> None:
    rig.ingest()
    rig.transform()
    seen = []

    def is_time(block: bytes) -> bool:
        # What is asked before the batch is committed too.
        seen.append(b"insert into tidemark.batch" in block)
        return moment in block and (moment != b"COMMIT" or any(seen))

    with wire_to(rig.warehouse_url) as wire:
        through = replace(rig, warehouse_url=wire.url)
        wire.on_query = is_time
        with pytest.raises(TransientError, match="run again"):
            through.load()
        assert wire.breaks == 1

        wire.on_query = lambda _: False
        through.load()
    assert is_whole(rig)


def test_a_clock_of_the_source_that_jumps_back_an_hour_hides_and_disorders_nothing(rig: Rig) -> None:
    rig.change("update loan set fee = 1, changed = clock_timestamp() at time zone 'UTC' where loan_id = 30")
    rig.run()
    rig.change(
        "alter function pg_catalog.clock_timestamp() rename to right_clock",
        "create function pg_catalog.clock_timestamp() returns timestamptz language sql volatile"
        " as 'select pg_catalog.right_clock() - interval ''1 hour'''",
    )

    rig.change("update loan set fee = 2, changed = clock_timestamp() at time zone 'UTC' where loan_id in (30, 31)")
    rig.run()
    assert rig.manifests()[-1].captured_at < rig.manifests()[-2].captured_at
    assert is_whole(rig)
    rig.change("delete from loan where loan_id = 31")
    rig.run()
    rig.change(
        "drop function pg_catalog.clock_timestamp()",
        "alter function pg_catalog.right_clock() rename to clock_timestamp",
    )
    rig.change("update loan set fee = 3, changed = clock_timestamp() at time zone 'UTC' where loan_id in (30, 32)")
    rig.run()

    assert is_whole(rig)
    versions = rig.versions("fact_loan", 30)
    assert [int(row["fee"]) for row in versions[-3:]] == [1, 2, 3]
    assert [row["valid_to"] for row in versions] == [*(row["valid_from"] for row in versions[1:]), None]


@pytest.fixture
def on_s3(s3: S3, kept_rig: Callable[..., Rig]) -> Rig:
    return kept_rig("library after one batch", after_one_batch, f"s3://{s3.create_bucket()}")


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
        "lost",
        pytest.param(503, marks=pytest.mark.exhaustive),
        pytest.param(500, marks=pytest.mark.exhaustive),
        pytest.param(0.2, marks=pytest.mark.exhaustive),
    ],
)
def test_answers_that_fail_are_lost_or_are_slow_now_and_then_are_asked_for_again(
    on_s3: Rig, s3: S3, answer: float | str
) -> None:
    count = iter(range(1_000_000))
    fault = Fault(lambda method, _: answer if method == "GET" and next(count) % 7 == 3 else None)
    with before_s3(s3, fault) as address:
        assert through(on_s3, s3, address) == 0
    assert len(fault.seen) > 5
    assert is_whole(on_s3)


def test_an_s3_that_answers_503_and_nothing_else_ends_the_run_for_now(
    on_s3: Rig, s3: S3, monkeypatch: pytest.MonkeyPatch
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
        "ingestion/batches/",
        "/fact/loan/_delta_log/",
        "processed/batches/",
        # A data file and a commit of Delta once more.
        pytest.param("/latest/loan/_delta_log/", marks=pytest.mark.exhaustive),
        pytest.param("/fact/", marks=pytest.mark.exhaustive),
        pytest.param("/latest/", marks=pytest.mark.exhaustive),
        pytest.param("/dimension/shelf/_delta_log/", marks=pytest.mark.exhaustive),
    ],
)
def test_a_put_that_arrived_although_its_answer_was_lost_counts_once(on_s3: Rig, s3: S3, path: str) -> None:
    fault = Fault(lambda method, at: "lost" if method == "PUT" and path in at else None, times=1)
    with before_s3(s3, fault) as address:
        ended = through(on_s3, s3, address)
        assert ended in {0, OVERTAKEN}
        if ended:
            assert through(on_s3, s3, address) == 0
    assert len(fault.seen) == 1
    assert is_whole(on_s3)


@pytest.mark.parametrize("stage", ["ingest", "transform"])
@pytest.mark.parametrize("limit_bytes", [100, pytest.param(1_000, marks=pytest.mark.exhaustive), 3_000])
def test_a_full_disk_ends_the_run_for_now_and_harms_nothing(rig: Rig, stage: str, limit_bytes: int) -> None:
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
