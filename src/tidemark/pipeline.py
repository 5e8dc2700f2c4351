"""Wire the real parts together from the settings; nothing else constructs them.

Each part is made when it is first asked for: a command needs no more settings, rights and libraries than it uses. What
has the tables of a mirror is made anew each time, because the next batch may have others.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Literal, cast

from tidemark.choosing import SET_SALT
from tidemark.disclosure import show_values
from tidemark.errors import ConfigError
from tidemark.faults import arm
from tidemark.memory import limit_memory
from tidemark.settings import Settings, armed_fault, flag, names_in, variable

if TYPE_CHECKING:
    from collections.abc import Callable

    from tidemark.backfill import Backfill
    from tidemark.capture.source_identity import NewSource
    from tidemark.compact import Compact
    from tidemark.glue import Registration
    from tidemark.ingest import Ingest
    from tidemark.load import Load
    from tidemark.log.changelog import Manifest
    from tidemark.log.pointer import PointerStore
    from tidemark.model import Model
    from tidemark.objects import Objects
    from tidemark.rebuild import Rebuild
    from tidemark.rebuild_warehouse import RebuildWarehouse
    from tidemark.replay import Replay
    from tidemark.runs.records import Records
    from tidemark.runs.watching import Watchers
    from tidemark.star.star_manifest import Processed
    from tidemark.transform import Transform
    from tidemark.verification.verify import Verify

# The imports within the functions load DuckDB, delta-rs or boto3, and each takes a tenth of a second or more.
# ruff: noqa: PLC0415

Database = Literal["source", "warehouse"]
# More sessions than this read a table only if somebody says so: the source has other work to do.
MOST_WORKERS_UNASKED = 4


def utc_now() -> datetime:
    """Read the machine's clock."""
    return datetime.now(UTC)  # noqa: TID251 -- the wiring has the real clock


def workers_for(cores: int | None) -> int:
    """Choose how many sessions read one table: half as many as the machine has cores, and few."""
    return max(1, min(MOST_WORKERS_UNASKED, (cores or 1) // 2))


@dataclass(frozen=True)
class Pipeline:
    """The parts of one pipeline, made from its settings on demand."""

    settings: Settings
    clock: Callable[[], datetime]

    def require(self, *databases: Database) -> None:
        """Raise one ConfigError that names every one of these databases whose address is not set."""
        problems = [
            f"{variable(f'{name}_url')} is not set: set it, or give {flag(f'{name}_url')}"
            for name in databases
            if not self.is_configured(name)
        ]
        if problems:
            raise ConfigError.of(problems)

    @cached_property
    def source_url(self) -> str:
        """The source's URL; it comes from Secrets Manager if the settings name a secret instead."""
        return self._url("source")

    @cached_property
    def warehouse_url(self) -> str:
        """The warehouse's URL, found in the same way as `source_url`."""
        return self._url("warehouse")

    @property
    def model(self) -> Model:
        """The model: read from its directory or, of a mirror, as of what is now the newest batch of the log."""
        from tidemark.log.changelog import ChangeLog

        return self._as_of_newest(lambda: ChangeLog(self.ingestion).newest())

    @property
    def star_model(self) -> Model:
        """The model as of the newest batch of the star, for those who may not read the log."""
        from tidemark.star.star_log import StarLog

        return self._as_of_newest(lambda: StarLog(self.processed).newest())

    @cached_property
    def model_of_any_batch(self) -> Model:
        """The model as stages take it: a mirror without its tables, which each stage finds in the batch at hand."""
        from tidemark.mirror import Scope, open_model

        settings = self.settings
        scope = Scope(names_in(settings.schemas), names_in(settings.include), names_in(settings.exclude))
        return open_model(settings.model, scope)

    @property
    def source_model(self) -> Model:
        """The model with all that reading the source needs: the salt of its masks, if it has any.

        Raises:
            ConfigError: a value is to be masked with a salt, and there is none.
        """
        return self._salted(self.model)

    @property
    def whole_model(self) -> Model:
        """The model with the source's columns, as far as its tables follow from them.

        Its own source.toml has them, else the newest batch of the log, else the source as it is now.
        """
        from tidemark.tables.log_columns import completed_by_log
        from tidemark.tables.statements import completed, lacking

        known = self.model
        if not lacking(known):
            return known
        from tidemark.log.changelog import ChangeLog

        model = completed_by_log(known, ChangeLog(self.ingestion))
        if lacking(model) and self.is_configured("source"):
            from tidemark.capture.source_columns import read_columns

            return completed(model, read_columns(self.source_url, model))
        return model

    @cached_property
    def ingestion(self) -> Objects:
        """The ingestion bucket."""
        return _objects(self.settings.ingestion)

    @cached_property
    def processed(self) -> Objects:
        """The processed bucket."""
        return _objects(self.settings.processed)

    @cached_property
    def pointer(self) -> PointerStore:
        """Where the pointer is kept."""
        from tidemark.log.pointer import open_pointer

        return open_pointer(self.settings.pointer)

    @property
    def _workers(self) -> int:
        """Say how many sessions read one table of the source."""
        return self.settings.workers or workers_for(os.cpu_count())

    @cached_property
    def ingest(self) -> Ingest:
        """The first stage."""
        from tidemark.ingest import Ingest

        model = self._salted(self.model_of_any_batch)
        parts = (model, self.source_url, self.ingestion, self.pointer, self.settings.lag, self.clock)
        return Ingest(*parts, yield_after=self.settings.yield_after, workers=self._workers)

    @property
    def backfill(self) -> Backfill:
        """The reading of a range of time again."""
        from tidemark.backfill import Backfill

        parts = (self.source_model, self.source_url, self.ingestion, self.pointer, self.clock)
        return Backfill(*parts, yield_after=self.settings.yield_after, workers=self._workers)

    @cached_property
    def new_source(self) -> NewSource:
        """The record of a move of the source."""
        from tidemark.capture.source_identity import NewSource

        return NewSource(self.source_url, self.ingestion, self.pointer, self.clock)

    @cached_property
    def transform(self) -> Transform:
        """The second stage."""
        from tidemark.transform import Transform

        return Transform(self.model_of_any_batch, self.ingestion, self.processed, self.clock, runs_on=self._engine())

    @cached_property
    def load(self) -> Load:
        """The third stage."""
        from tidemark.load import Load

        return Load(self.model_of_any_batch, self.processed, self.warehouse_url)

    @property
    def replay(self) -> Replay:
        """The replay, which lets transform take rows in quarantine up again."""
        from tidemark.replay import Replay

        return Replay(self.model, self.ingestion, self.processed, self.pointer)

    @property
    def verify(self) -> Verify:
        """The verification that the places hold the same, as far as they are configured."""
        from tidemark.verification.verify import Verify

        model = self.whole_model
        return Verify(
            self._salted(model) if self.is_configured("source") else model,
            self.ingestion,
            self.processed,
            self.pointer,
            self.source_url if self.is_configured("source") else None,
            self.warehouse_url if self.is_configured("warehouse") else None,
            self.clock,
            self.settings.yield_after,
        )

    @property
    def records(self) -> Records:
        """The record of runs: in the warehouse if one is configured, and beside the pointer; with its webhook."""
        from tidemark.signalling import records_of

        return records_of(self.settings, self.clock, self._url_of("warehouse"), lambda: self.processed)

    def watchers(self, command: str) -> Watchers | None:
        """Wire what is told of each stage of a run; None if nobody asks for that."""
        from tidemark.signalling import watchers_of

        return watchers_of(
            self.settings, self.clock, command, lambda: self.model, self._url_of("source"), self._url_of("warehouse")
        )

    def _url_of(self, database: Database) -> Callable[[], str] | None:
        return (lambda: str(getattr(self, f"{database}_url"))) if self.is_configured(database) else None

    def renewed(self) -> Pipeline | None:
        """Give the same pipeline with the addresses that its secrets hold now; None if no address has changed.

        Only addresses that this pipeline has used count: the others are read when they are first needed.
        """
        fresh = Pipeline(self.settings, self.clock)
        used = [name for name in ("source_url", "warehouse_url") if name in self.__dict__]
        return fresh if any(getattr(fresh, name) != getattr(self, name) for name in used) else None

    def rebuild(self, *, dry_run: bool, accepts: bool) -> Rebuild:
        """Wire the rebuild of latest and the star."""
        from tidemark.rebuild import Rebuild

        return Rebuild(self.whole_model, self.ingestion, self.processed, self.clock, accepts=accepts, dry_run=dry_run)

    def rebuild_warehouse(self, *, dry_run: bool) -> RebuildWarehouse:
        """Wire the rebuild of the warehouse."""
        from tidemark.mirror import Mirror
        from tidemark.rebuild_warehouse import RebuildWarehouse

        model = self.star_model if isinstance(self.model_of_any_batch, Mirror) else self.whole_model
        return RebuildWarehouse(model, self.processed, self.warehouse_url, dry_run=dry_run)

    def compact(self, retention: timedelta) -> Compact:
        """Wire the compaction; if the settings name no warehouse, it cannot know which batches are loaded."""
        from tidemark.compact import Compact

        has_warehouse = self.settings.warehouse_url or self.settings.warehouse_secret
        loaded = self._loaded if has_warehouse else None
        return Compact(self.model, self.ingestion, self.processed, self.clock, loaded, retention)

    def catalog(self, database: str) -> Registration:
        """Wire the registration of the lake's tables in a database of the AWS Glue Data Catalog."""
        from tidemark.glue import Registration
        from tidemark.objects.aws_client import open_client, open_session

        client = open_client(open_session(), "glue")
        return Registration(self.model, self.ingestion, self.processed, client, database)

    def _loaded(self) -> int:
        from tidemark.warehouse.session import open_warehouse

        with open_warehouse(self.warehouse_url) as warehouse:
            return warehouse.newest()[0]

    def _as_of_newest(self, newest: Callable[[], Manifest | Processed | None]) -> Model:
        from tidemark.mirror import Mirror

        model = self.model_of_any_batch
        if not isinstance(model, Mirror):
            return model
        batch = newest()
        return model.following(batch.mirrored if batch else {})

    def is_configured(self, database: Database) -> bool:
        """Say whether the settings name this database."""
        return bool(getattr(self.settings, f"{database}_url") or getattr(self.settings, f"{database}_secret"))

    def _salted(self, model: Model) -> Model:
        return model.salted(self._salt()) if model.needs_salt else model

    def _salt(self) -> str:
        if self.settings.mask_salt:
            return self.settings.mask_salt
        if self.settings.mask_salt_secret:
            from tidemark.secrets import mask_salt

            return mask_salt(self.settings.mask_salt_secret)
        raise ConfigError('the model masks values by "sha256", and there is no salt', advice=SET_SALT)

    def _engine(self) -> str:
        if self.settings.engine_secret:
            from tidemark.secrets import engine_address

            return engine_address(self.settings.engine_secret)
        return self.settings.engine

    def _url(self, database: Database) -> str:
        self.require(database)
        url = getattr(self.settings, f"{database}_url")
        if url is None:
            from tidemark.secrets import database_url

            url = database_url(getattr(self.settings, f"{database}_secret"))
        return _trusting(_checked(database, cast("str", url)), self.settings.sslrootcert)


def wire(settings: Settings, clock: Callable[[], datetime] = utc_now) -> Pipeline:
    """Return the pipeline that the settings describe; nothing is opened yet."""
    fault = armed_fault()
    if fault:
        arm(fault)
    limit_memory(settings.memory_limit)
    show_values(wanted=settings.show_values)
    return Pipeline(settings, clock)


def _checked(database: Database, url: str) -> str:
    """Refuse a URL that libpq would misread: part of a password with a bare `@` would become part of the host.

    The message leaves out the parser's own words, because they quote the password.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    is_misread = url.partition("?")[0].count("@") > 1
    try:
        conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        is_misread = True
    if is_misread:
        message = f"the URL of the {database} cannot be read"
        raise ConfigError(message, advice="write special characters in user, password and database as %XX (@ is %40)")
    return url


def _trusting(url: str, sslrootcert: str | None) -> str:
    """Demand that a server on another host proves its identity by these certificates, unless the URL says how."""
    if sslrootcert is None:
        return url
    from tidemark.postgres.encryption import proven_by

    return proven_by(url, sslrootcert)


def _objects(place: str) -> Objects:
    from tidemark.objects import open_objects

    return open_objects(place)
