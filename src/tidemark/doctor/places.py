"""The places that hold files: both buckets, the pointer, and the temporary directory."""

import shlex
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

from tidemark.doctor.finding import Finding
from tidemark.errors import TidemarkError
from tidemark.lake.delta_schema import NAIVE_FEATURE
from tidemark.lake.scratch import MEGABYTE, Leftovers
from tidemark.lake.table import open_table, require_fit
from tidemark.objects import ObjectExistsError, Objects, is_open
from tidemark.pipeline import Pipeline
from tidemark.star.star_log import StarLog


def examine_bucket(area: str, open_bucket: Callable[[], Objects]) -> Iterator[Finding]:
    """List a bucket, put an object of its own that must not be replaced, and delete it."""
    bucket = open_bucket()
    next(bucket.list("batches/"), None)
    require_fit(bucket.url("batches"))
    yield Finding(area, "pass", f"{bucket.url('batches').removesuffix('/batches')} can be listed")
    key = f"doctor-{uuid.uuid4().hex}"
    bucket.put_new(key, b"one")
    try:
        bucket.put_new(key, b"other")
    except ObjectExistsError:
        yield Finding(area, "pass", "an object can be put, and only once")
    else:
        advice = "use S3, or a store that honours If-None-Match: without it two runs could overwrite each other"
        yield Finding(area, "failure", "a put that must only make a new object replaced one", advice)
    if batches := bucket.local_path("batches"):
        yield from _privacy(area, batches.parent)
    try:
        bucket.delete([key])
    except TidemarkError as exc:
        yield Finding(area, "hint", f"{exc.message}; it is part of nothing", f"delete {bucket.url(key)}")


def examine_star(pipeline: Pipeline) -> Iterator[Finding]:
    """Say which tables of the star an older Tidemark made, so that some readers cannot open them."""
    newest = StarLog(pipeline.processed).newest()
    model = pipeline.model.following(newest.mirrored if newest else {})
    tables = (open_table(pipeline.processed, star.path) for star in model.stars.values())
    older = [table.path for table in tables if table and table.is_older]
    if older:
        found = f"an older Tidemark made {', '.join(older)}: readers need the table feature {NAIVE_FEATURE} for them"
        yield Finding(
            "processed", "hint", found, "tidemark compact writes them anew, and so does tidemark rebuild star"
        )
    else:
        yield Finding("processed", "pass", "every table can be opened by each reader of Delta tables")


def examine_pointer(pipeline: Pipeline) -> Iterator[Finding]:
    """Read the pointer."""
    if not pipeline.settings.pointer.startswith("ssm:"):
        yield from _privacy("pointer", Path(pipeline.settings.pointer).expanduser().absolute())
    pointer = pipeline.pointer.read()
    found = f"{pipeline.settings.pointer}: batch {pointer.batch}" if pointer else "none yet: the first run makes it"
    yield Finding("pointer", "pass", found)


def examine_scratch(left: Leftovers) -> Iterator[Finding]:
    """Say what commands that were killed left in the temporary directory, and that it was removed."""
    if left.removed:
        freed = f"{left.size_bytes / MEGABYTE:.1f} MB"
        found = f"removed {left.removed} scratch folders of killed commands from {left.place}: {freed}"
        yield Finding("scratch", "pass", found)
    elif not left.unsure:
        yield Finding("scratch", "pass", f"{left.place} holds nothing of killed commands")
    if left.unsure:
        found = f"{left.place} is no file system of this machine, so nothing tells whether these scratch folders are"
        found += f" in use: {', '.join(left.unsure)}"
        advice = "set TMPDIR to a directory on a local disk; remove the folders once no Tidemark runs on any machine"
        yield Finding("scratch", "hint", found, advice)


def _privacy(area: str, place: Path) -> Iterator[Finding]:
    if is_open(place):
        found = f"every user of this machine can read {place}, which holds what the source holds"
        yield Finding(area, "hint", found, f"chmod -R go-rwx {shlex.quote(str(place))}")
