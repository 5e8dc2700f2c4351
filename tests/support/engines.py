"""A star that is made of the same log by other engines, and its comparison with the one that DuckDB made."""

from dataclasses import replace
from pathlib import Path

from tests.support.pipeline import Rig, clock
from tidemark.lake.engine import open_engine
from tidemark.lake.spark import Spark
from tidemark.log.changelog import ChangeLog
from tidemark.objects import Objects, open_objects
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import Processed
from tidemark.tables.log_columns import completed_by_log
from tidemark.transform import Transform


def by_engines(rig: Rig, place: Path | str, *engines: str | Spark) -> Rig:
    """Transform a rig's log anew into a star at `place`, batch by batch, each by the next of the engines."""
    other = replace(rig, processed=open_objects(str(place)))
    for batch in range(1, rig.newest().batch + 1):
        engine = engines[(batch - 1) % len(engines)]
        transform = Transform(rig.model, rig.ingestion, other.processed, clock, until=batch)
        if isinstance(engine, Spark):
            _by_open_spark(transform, engine, batch)
        else:
            replace(transform, runs_on=engine).run()
    return other


def _by_open_spark(transform: Transform, spark: Spark, batch: int) -> None:
    """Transform one batch by a Spark that has no address."""
    log = ChangeLog(transform.ingestion)
    before = StarLog(transform.processed).manifest(batch - 1) if batch > 1 else None
    with open_engine([transform.ingestion, transform.processed]) as engine:
        this = replace(transform, model=completed_by_log(transform.model, log), spark_for=lambda _: spark)
        this.put_all(engine, [batch], log.manifest(batch), before, {})


def assert_same_star(rig: Rig, other: Rig, *, is_done_again: bool = False) -> None:
    """Compare two stars of one log: rows with their surrogate keys, manifests with their checksums, and quarantine.

    In one that was done again in part, a Delta table may have more versions.
    """
    for star in rig.model.stars:
        assert other.star(star) == rig.star(star), star
    shown = _without_versions if is_done_again else replace
    assert list(map(shown, _manifests(other.processed))) == list(map(shown, _manifests(rig.processed)))
    assert quarantine(other.processed) == quarantine(rig.processed)


def quarantine(objects: Objects) -> dict[str, bytes]:
    """Give what lies in quarantine, by key."""
    return {each.key: objects.get(each.key) for each in objects.list("quarantine/")}


def _manifests(objects: Objects) -> list[Processed]:
    log = StarLog(objects)
    return [replace(log.manifest(batch), run_id="") for batch in range(1, log.newest_batch() + 1)]


def _without_versions(manifest: Processed) -> Processed:
    return replace(manifest, tables={name: replace(entry, version=0) for name, entry in manifest.tables.items()})
