"""Pipelines that are made once and copied for each test that wants to change one: a copy is quicker than their runs."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tests.support.pipeline import Rig, generated_totesys, open_rig, rigs, with_batches
from tests.support.postgres import Postgres

# Makes a pipeline out of the server and what `new_rig` gives to a test; its lake is to lie where that puts it.
Make = Callable[[Postgres, Callable[..., Rig]], Rig]


@dataclass(frozen=True)
class Kept:
    """What a pipeline consists of: the databases that are copies of its own, and the folder with lake and pointer."""

    rig: Rig
    folder: Path
    source: str
    warehouse: str


class KeptPipelines:
    """The pipelines that tests of one session have asked for so far, by name; their lakes lie in `folder`."""

    def __init__(self, postgres: Postgres, folder: Path) -> None:
        self._postgres = postgres
        self._folder = folder
        self._kept: dict[str, Kept] = {}

    def copy(self, name: str, make: Make, place: str) -> Rig:
        """Give a copy of the pipeline that `make` returns, its lake at `place`; it is made once for a name.

        There is one copy at a time: its source has the name of the first, because a poll refuses any other database
        than the one that the log is of.
        """
        if name not in self._kept:
            self._kept[name] = self._made(name, make)
        kept = self._kept[name]
        source = database_of(kept.rig.source_url)
        self._postgres.drop(source)
        self._postgres.create(kept.source, name=source)
        warehouse = self._postgres.url(self._postgres.create(kept.warehouse))
        if not place.startswith("s3:"):
            shutil.copytree(kept.folder, place)
        rig = open_rig(kept.rig.model, kept.rig.source_url, warehouse, place)
        if place.startswith("s3:"):
            _upload(kept.rig, rig)
        return rig

    def _made(self, name: str, make: Make) -> Kept:
        folder = self._folder / name.replace(" ", "-")
        with rigs(self._postgres, str(folder)) as create:
            rig = make(self._postgres, create)
            copies = [self._postgres.create(database_of(url)) for url in (rig.source_url, rig.warehouse_url)]
        return Kept(rig, folder, *copies)


def _upload(kept: Rig, copy: Rig) -> None:
    for source, target in ((kept.ingestion, copy.ingestion), (kept.processed, copy.processed)):
        for each in source.list():
            target.put_new(each.key, source.get(each.key))
    pointer = kept.pointer.read()
    if pointer is not None:
        copy.pointer.write(pointer)


def small_template(postgres: Postgres) -> str:
    """Give the database with 948 generated rows of totesys."""
    return postgres.template("small_totesys", generated_totesys(scale=0.02))


def small_totesys(batches: int) -> Make:
    """Return what makes a pipeline of totesys that has taken so many batches: inserts, then updates and deletes too."""
    return lambda postgres, create: with_batches(create(small_template(postgres)), batches)


def database_of(url: str) -> str:
    """Name the database that a URL of the tests' server leads to."""
    return urlsplit(url).path.strip("/")
