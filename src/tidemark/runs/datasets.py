"""The names of source tables, tables of the lake and tables of the warehouse, as OpenLineage's naming has them."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from tidemark.model import Model

DEFAULT_PORT = 5432


@dataclass(frozen=True)
class Dataset:
    """A dataset: its namespace, such as `postgres://db:5432` or `s3://bucket`, and its name there."""

    namespace: str
    name: str


@dataclass(frozen=True)
class Datasets:
    """The datasets of a pipeline; `model` gives the model as of its newest batch.

    A table of the warehouse that the search path finds is named as one of `public`.
    """

    model: Callable[[], Model]
    source_url: str | None
    ingestion: str
    processed: str
    warehouse_url: str | None

    def of_stage(self, stage: str, tables: list[str]) -> tuple[list[Dataset], list[tuple[str, Dataset]]]:
        """Name what a stage read for the tables of its report, and what it wrote, with the table that each is."""
        model = self.model()
        if stage == "ingest":
            known = [name for name in tables if name in model.sources]
            return [self._source(model, name) for name in known], [(name, self._latest(name)) for name in known]
        known = [name for name in tables if name in model.stars]
        if stage == "transform":
            read = dict.fromkeys(source for name in known for source in model.stars[name].reads)
            return [self._latest(name) for name in read], [(name, self._star(model, name)) for name in known]
        return [self._star(model, name) for name in known], [(name, self._loaded(model, name)) for name in known]

    def _source(self, model: Model, name: str) -> Dataset:
        table = model.sources[name]
        return _of_database(self.source_url, table.schema, table.relation)

    def _latest(self, name: str) -> Dataset:
        return _of_lake(self.ingestion, f"latest/{name}")

    def _star(self, model: Model, name: str) -> Dataset:
        return _of_lake(self.processed, model.stars[name].path)

    def _loaded(self, model: Model, name: str) -> Dataset:
        place = model.stars[name].place
        return _of_database(self.warehouse_url, *(place if len(place) > 1 else ("public", *place)))


def _of_database(url: str | None, schema: str, relation: str) -> Dataset:
    parts = urlsplit(url or "")
    namespace = f"postgres://{parts.hostname or 'localhost'}:{parts.port or DEFAULT_PORT}"
    return Dataset(namespace, f"{parts.path.strip('/')}.{schema}.{relation}")


def _of_lake(place: str, path: str) -> Dataset:
    if "://" not in place:
        return Dataset("file", str(Path(place).expanduser().absolute() / path))
    bucket, _, prefix = place.partition("://")[2].partition("/")
    return Dataset(f"s3://{bucket}", f"{prefix.strip('/')}/{path}".strip("/"))
