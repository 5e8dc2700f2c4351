"""The registration of a lake in the catalog: gather what is there, decide, apply."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from tidemark.errors import ConfigError, OvertakenError
from tidemark.glue.entries import Entry, Versions, entry_name, table_entry, view_entries
from tidemark.glue.steps import Step, steps_for
from tidemark.lake.table import open_table
from tidemark.log.latest import path_of
from tidemark.model import Model
from tidemark.objects import Objects
from tidemark.objects.aws_client import aws_errors, error_code

FIT = re.compile(r"[a-z0-9_]{1,255}")
# Another hand made, changed or removed the same entry at the same moment.
OVERTAKEN = {"AlreadyExistsException", "ConcurrentModificationException", "VersionMismatchException"}
MISSING = "EntityNotFoundException"


@dataclass(frozen=True)
class RegistrationReport:
    """What was done to each entry of a database, or would be done in a dry run."""

    database: str
    steps: Sequence[Step]

    def count(self, outcome: str) -> int:
        """Count the entries with an outcome."""
        return sum(step.outcome == outcome for step in self.steps)


@dataclass(frozen=True)
class Registration:
    """The parts that a registration works with: the model of the newest batches, the buckets, and a client of Glue."""

    model: Model
    ingestion: Objects
    processed: Objects
    client: Any
    database: str

    def run(self, *, dry_run: bool = False) -> RegistrationReport:
        """Register every table of the star and of latest, and the views of each table of versions.

        Raises:
            ConfigError: the lake lies in a directory, or an entry is there that is not of this lake; nothing is done.
            OvertakenError: another hand changed the same entry meanwhile.
        """
        if not FIT.fullmatch(self.database):
            message = (
                f"expected a database such as tidemark, of small letters, digits and underscores: {self.database!r}"
            )
            raise ConfigError(message, advice="give another one: --database")
        if self.processed.are_local:
            message = "the lake lies in a directory, and the catalog names tables on S3"
            raise ConfigError(message, advice="it takes TIDEMARK_INGESTION and TIDEMARK_PROCESSED as s3://<bucket>")
        lake = self.processed.url("lake").removesuffix("/lake")
        steps = steps_for(self.database, lake, list(self._entries(lake)), self._present())
        for step in steps if not dry_run else ():
            self._apply(step)
        # What Glue was told is long, and is no part of what a person is told.
        return RegistrationReport(self.database, [replace(step, input=None, version="") for step in steps])

    def _entries(self, lake: str) -> Iterator[Entry]:
        for star in self.model.stars.values():
            table = open_table(self.processed, star.path)
            if table is not None:
                name, kind = entry_name(star.name), "versions" if star.is_versioned else "rows"
                where = self.processed.url(star.path)
                yield table_entry(name, where, lake, table.columns, f"{kind} of {star.name}, by Tidemark")
                if star.is_versioned:
                    versions = Versions(star.source_key, star.key[0])
                    yield from view_entries(self.database, name, lake, table.columns, versions)
        for source in self.model.sources.values():
            table = open_table(self.ingestion, path_of(source))
            if table is not None:
                about = f"{source.name} of the source as of the last batch, by Tidemark"
                where = self.ingestion.url(path_of(source))
                yield table_entry(entry_name("latest", source.name), where, lake, table.columns, about)

    def _present(self) -> Mapping[str, Mapping[str, Any]] | None:
        with aws_errors("the Glue Data Catalog"):
            try:
                pages = list(self.client.get_paginator("get_tables").paginate(DatabaseName=self.database))
            except self.client.exceptions.EntityNotFoundException:
                return None
        return {table["Name"]: table for page in pages for table in page["TableList"]}

    def _apply(self, step: Step) -> None:
        with aws_errors("the Glue Data Catalog"):
            try:
                self._ask(step)
            except self.client.exceptions.ClientError as exc:
                if error_code(exc) not in {*OVERTAKEN, MISSING}:
                    raise
                message = f"the {step.what} {step.name} was changed in the catalog by another hand at the same time"
                raise OvertakenError(message, advice="run it again") from exc

    def _ask(self, step: Step) -> None:
        if step.outcome == "unchanged":
            return
        if step.what == "database":
            self.client.create_database(DatabaseInput=step.input)
        elif step.outcome == "created":
            self.client.create_table(DatabaseName=self.database, TableInput=step.input)
        else:
            version = {"VersionId": step.version} if step.version else {}
            self.client.update_table(DatabaseName=self.database, TableInput=step.input, **version)
