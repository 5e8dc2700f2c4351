"""A change log that is gone, or whose manifests were altered: what `status` and `run` say, and what helps."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.library import after_two_batches, is_whole, next_steps
from tests.support.pipeline import Rig
from tidemark.errors import StateError
from tidemark.log.changelog import ChangeLog, manifest_key
from tidemark.objects import open_objects
from tidemark.warehouse.schema import init

KEYS = (
    "../../../etc/passwd",
    "/etc/passwd",
    "changes/loan/../../../etc/passwd",
    "changes/loan//1.jsonl",
    "changes/shelf/1.jsonl",
    "batches/0000000001.json",
    "s3://other/changes/loan/1.jsonl",
    17,
)


@pytest.fixture
def rig(kept_rig: Callable[..., Rig]) -> Rig:
    return kept_rig("library after two batches", after_two_batches)


def test_a_lost_log_is_told_alike_by_status_and_run_and_a_new_one_can_begin(
    rig: Rig, tmp_path: Path, new_database: Callable[[], str]
) -> None:
    lake = tmp_path / "lake"
    for lost, end in ((manifest_key(2), "ends with batch 1"), ("", "no batch")):
        place = lake / "ingestion" / lost
        shutil.rmtree(place) if place.is_dir() else place.unlink()
        with pytest.raises(StateError, match=f"the pointer names batch 2, and the ingestion bucket .*{end}") as raised:
            rig.ingest()
        assert next_steps(rig, lake)[0] == f"fail, because {raised.value}"

    assert "delete the pointer, and name an empty TIDEMARK_PROCESSED and an empty database" in raised.value.advice
    (lake / "pointer.json").unlink()
    again = replace(rig, processed=open_objects(str(lake / "new")), warehouse_url=new_database())
    init(again.warehouse_url, again.model)
    again.run()
    assert is_whole(again)


def test_a_pointer_of_another_log_is_told_alike_by_status_and_run(rig: Rig, tmp_path: Path) -> None:
    pointer = rig.pointer.read()
    assert pointer is not None
    rig.pointer.write(replace(pointer, pipeline_id="00000000-0000-0000-0000-000000000000"))

    with pytest.raises(StateError, match="the pointer is of pipeline 0000") as raised:
        rig.ingest()

    assert next_steps(rig, tmp_path / "lake")[0] == f"fail, because {raised.value}"


@pytest.mark.parametrize("key", KEYS)
def test_a_manifest_that_leads_out_of_its_table_is_named_with_the_key(rig: Rig, key: object) -> None:
    content = json.loads(rig.ingestion.get(manifest_key(2)))
    content["tables"]["loan"]["objects"][0]["key"] = key
    rig.ingestion.delete([manifest_key(2)])
    rig.ingestion.put_new(manifest_key(2), json.dumps(content).encode())

    with pytest.raises(StateError, match="the manifest of batch 2 cannot be read") as raised:
        ChangeLog(rig.ingestion).newest()

    assert f"for loan it names the object {key!r}" in raised.value.message
    with pytest.raises(StateError, match="the manifest of batch 2"):
        rig.ingest()
