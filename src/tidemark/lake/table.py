"""A Delta table whose data files DuckDB writes and delta-rs commits.

delta-rs's own MERGE needs memory that grows with the table. Here only the files that hold a changed row are rewritten,
one at a time, in the order of their key. A commit goes through the handle with which the table was read: delta-rs then
refuses it if another commit with our application id came in between.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

from deltalake import CommitProperties, DeltaTable, Schema, Transaction
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction

from tidemark.errors import ConfigError, OvertakenError, StateError, TransientError
from tidemark.faults import effect_on
from tidemark.lake.delta_commit import whole_table
from tidemark.lake.delta_schema import asks_for_feature, columns_of, field_of, schema_of
from tidemark.lake.sqltext import Expression, Rows, from_parquet, listed, named_as, quoted, select, tried
from tidemark.objects import ObjectExistsError, Objects, refusal

APPLICATION = "tidemark"
# delta-rs takes these for parts of a URL: it then reads another folder than it writes, or finds no commits. It refuses
# control characters.
UNFIT_FOR_DELTA = re.compile(r"[#?\\\x00-\x1f\x7f]|%[0-9a-fA-F]{2}")
# The Delta log must outlive every batch that has not been transformed or loaded yet, so only `compact` shortens it.
# To open a table, each commit since the last checkpoint is read, which takes a third of a millisecond (decision 0031).
CONFIGURATION = {"delta.logRetentionDuration": "interval 3650 days", "delta.checkpointInterval": "10"}
# How much of a message of delta-rs is shown: some quote whole records and stack traces.
FIRST_CHARACTERS = 300
# delta-rs colours some of them.
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
# How Rust writes the number of an operating system's error.
OS_ERROR = re.compile(r"\(os error (\d+)\)")


@dataclass
class AddedFile(AddAction):
    """A data file that is to be committed, with the SHA-256 of its bytes."""

    sha256: str


@dataclass(frozen=True)
class Change:
    """Files to add to and to remove from a Delta table in one commit."""

    added: tuple[AddAction, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True)
class LakeTable:
    """A Delta table opened at one version.

    `columns` are DuckDB types by name; `batch` is the last batch that was applied, 0 for none. `stored` holds the types
    in the data files if they are other types, see `with_types`. `is_older` says that an older Tidemark made it: its
    files have a TIMESTAMP as such, and its readers need the table feature for that.
    """

    objects: Objects
    path: str
    columns: Mapping[str, str]
    delta: DeltaTable = field(repr=False)
    stored: Mapping[str, str] | None = None
    is_older: bool = False

    @property
    def version(self) -> int:
        """Give the Delta version."""
        return self.delta.version()

    # delta-rs reads every commit since the last checkpoint again for this.
    @cached_property
    def batch(self) -> int:
        """Give the last batch that was applied, 0 for none."""
        return self.delta.transaction_version(APPLICATION) or 0

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """Give the bytes of each data file by its name relative to the table's folder."""
        actions = self.delta.get_add_actions(flatten=True)
        return dict(zip(actions["path"].to_pylist(), actions["size_bytes"].to_pylist(), strict=True))

    @cached_property
    def files(self) -> list[str]:
        """Name the data files, relative to the table's folder, in a fixed order."""
        return sorted(self.sizes)

    def metadata(self) -> Mapping[str, str]:
        """Give the metadata of the last commit: among them `batch` and `model`."""
        return self.delta.history(1)[0]

    def uri(self, file: str) -> str:
        """Give the address of a data file."""
        return self.objects.url(f"{self.path}/{file}")

    def rows(self, files: Sequence[str] | None = None) -> Rows:
        """Give a FROM item over the table's rows, or over those of some of its files."""
        wanted = [self.uri(file) for file in (self.files if files is None else files)]
        if self.stored is None:
            return from_parquet(wanted, self.columns)
        stored = {name.lower() for name in self.stored}
        fields = listed(
            named_as(tried(quoted(name) if name.lower() in stored else Expression("null"), kind), name)
            for name, kind in self.columns.items()
        )
        return select("files", "fields", fields=fields, rows=from_parquet(wanted, self.stored)).rows

    def caught_up(self) -> "LakeTable":
        """Give the table at its newest version by its newer commits alone; do not use the handle afterwards."""
        with _translated(self.objects, self.path):
            self.delta.update_incremental()
        return _opened(self.objects, self.path, self.delta)

    def commit(
        self, change: Change, *, batch: int, metadata: Mapping[str, str] | None = None, same_rows: bool = False
    ) -> None:
        """Commit added and removed files; do not use the handle afterwards.

        With `same_rows` the rows only move between files. The application transaction is still written: without it
        delta-rs lets a merge remove a file that such a commit has removed already, and its rows are there twice.

        Raises:
            OvertakenError: another commit of ours came in between.
        """
        if self.stored is not None:
            # The table's files hold other types, so the change replaces all of them.
            self.overwrite(change.added, batch=batch, metadata=metadata)
            return
        sizes = self.sizes if change.removed else {}
        now = max((action.modification_time for action in change.added), default=0)
        removals = [
            RemoveAction(path, data_change=not same_rows, deletion_timestamp=now, size=sizes[path], partition_values={})
            for path in sorted(set(change.removed))
        ]
        self._commit([*change.added, *removals], "append", self.delta.schema(), batch, metadata)

    def overwrite(
        self,
        added: Sequence[AddAction],
        *,
        batch: int,
        metadata: Mapping[str, str] | None = None,
        same_rows: bool = False,
    ) -> None:
        """Commit files that take the place of all others; the table's columns become `columns`. See `commit`.

        No reader needs a table feature for the table then.
        """
        if not asks_for_feature(self.delta):
            self._commit([*added], "overwrite", schema_of(self.columns), batch, metadata)
            return
        # delta-rs takes no feature back, so this commit is written here.
        said = {APPLICATION: batch}, {"batch": str(batch), **(metadata or {})}
        with _translated(self.objects, self.path):
            body = whole_table(self.delta, schema_of(self.columns), added, *said, same_rows=same_rows)
        with effect_on(self.path, "commit"):
            try:
                self.objects.put_new(f"{self.path}/_delta_log/{self.version + 1:020d}.json", body)
            except ObjectExistsError as exc:
                raise _overtaken(self.path) from exc
        with _translated(self.objects, self.path):
            # With it, nobody who opens the table reads a commit that asks for the feature.
            self.delta.update_incremental()
            self.delta.create_checkpoint()

    def _commit(
        self,
        actions: list[AddAction | RemoveAction],
        mode: Literal["append", "overwrite"],
        schema: Schema,
        batch: int,
        metadata: Mapping[str, str] | None,
    ) -> None:
        properties = _properties(batch, metadata or {})
        with _translated(self.objects, self.path), effect_on(self.path, "commit"):
            self.delta.create_write_transaction(actions, mode, schema, commit_properties=properties)


def open_table(objects: Objects, path: str, *, version: int | None = None) -> LakeTable | None:
    """Open a Delta table at its newest version, or at `version`; None if there is no such table.

    Raises:
        ConfigError: no Delta table can lie there.
    """
    require_fit(objects.url(path))
    with _translated(objects, path):
        try:
            delta = DeltaTable(objects.url(path), version=version, storage_options=objects.storage_options())
        except TableNotFoundError:
            return None
    return _opened(objects, path, delta)


def require_fit(place: str) -> None:
    """Raise a ConfigError unless a Delta table can lie at this place."""
    if UNFIT_FOR_DELTA.search(place):
        rule = "it must not hold #, ?, \\, a control character, or % before two hex digits"
        advice = "name another directory, in the setting or in TMPDIR, or give the table another name in the model"
        raise ConfigError(f"there can be no Delta table at {place!r}: {rule}", advice=advice)


def open_as_of(objects: Objects, path: str, batch: int) -> LakeTable | None:
    """Open a Delta table as of a batch: when that batch had been applied, and no later one.

    Raises:
        StateError: that version is no longer there.
    """
    table = open_table(objects, path)
    if table is None or table.batch <= batch:
        return table
    with _translated(objects, path):
        commits = table.delta.history()
    for commit in commits:
        if "batch" in commit and int(commit["batch"]) <= batch:
            return open_table(objects, path, version=commit["version"])
    message = f"{path} has been vacuumed: its state as of batch {batch} is gone"
    raise StateError(message, advice="`tidemark rebuild` makes it again from the log", batch=batch)


def first_batch(objects: Objects, path: str) -> int:
    """Give the first batch that was applied to a Delta table, 0 when none was."""
    table = open_table(objects, path)
    history = table.delta.history() if table else []
    return min((int(commit["batch"]) for commit in history if "batch" in commit), default=0)


def create_table(objects: Objects, path: str, columns: Mapping[str, str]) -> LakeTable:
    """Open a Delta table, creating it empty if it is missing.

    Args:
        objects: the bucket.
        path: the table's folder in it.
        columns: DuckDB types by name.
    """
    table = open_table(objects, path)
    if table is not None:
        return table
    with _translated(objects, path), effect_on(path, "table"):
        objects.make_folder(f"{path}/_delta_log")
        delta = DeltaTable.create(
            objects.url(path),
            schema_of(columns),
            mode="ignore",
            configuration=CONFIGURATION,
            storage_options=objects.storage_options(),
        )
    return _opened(objects, path, delta)


def add_columns(table: LakeTable, columns: Mapping[str, str]) -> LakeTable:
    """Add the columns that the table lacks; older rows hold null there."""
    # A Delta table cannot have two columns whose names differ only in case.
    known = {name.lower() for name in table.columns}
    missing = [
        field_of(name, kind, as_before=table.is_older) for name, kind in columns.items() if name.lower() not in known
    ]
    if not missing:
        return table
    with _translated(table.objects, table.path), effect_on(table.path, "columns"):
        table.delta.alter.add_columns(missing)
    reopened = open_table(table.objects, table.path)
    return reopened or table


def configured(table: LakeTable, metadata: Mapping[str, str]) -> LakeTable:
    """Give a table that an older Tidemark made the configuration of new ones; `metadata` goes with the commit.

    Raises:
        OvertakenError: another commit came in between.
    """
    if CONFIGURATION.items() <= table.delta.metadata().configuration.items():
        return table
    properties = _properties(table.batch, metadata)
    with _translated(table.objects, table.path), effect_on(table.path, "commit"):
        table.delta.alter.set_table_properties(CONFIGURATION, commit_properties=properties)
    return open_table(table.objects, table.path) or table


def with_types(table: LakeTable, columns: Mapping[str, str]) -> LakeTable:
    """Give a table as if it had exactly these columns: one that it lacks is null, and so is what does not convert.

    The next commit of a merge rewrites all of its files like this. Older versions stay as they are.
    """
    if table.columns == columns:
        return table
    return replace(table, columns=dict(columns), stored=table.columns)


def _opened(objects: Objects, path: str, delta: DeltaTable) -> LakeTable:
    return LakeTable(objects, path, columns_of(delta), delta, is_older=asks_for_feature(delta))


def _properties(batch: int, metadata: Mapping[str, str]) -> CommitProperties:
    """Give what each commit of ours says: the batch that the table holds then, and what else there is to say."""
    return CommitProperties(
        custom_metadata={"batch": str(batch), **metadata}, app_transactions=[Transaction(APPLICATION, batch)]
    )


@contextmanager
def _translated(objects: Objects, path: str) -> Iterator[None]:
    """Turn delta-rs's errors into Tidemark's families."""
    rebuild = f"tidemark rebuild {'latest' if path.startswith('latest/') else 'star'}"
    try:
        yield
    except CommitFailedError as exc:
        raise _overtaken(path) from exc
    except DeltaError as exc:
        message = f"the Delta log of {path} has an entry missing, altered or cut short: {_beginning(exc)}"
        advice = f"restore {path}/_delta_log from the bucket's older versions, or make the table again: {rebuild}"
        raise StateError(message, advice=advice, table=path) from exc
    except OSError as exc:
        # delta-rs raises this for everything about a file system or a network; only its text says what it was.
        message = f"{path} could not be read or written: {_beginning(exc)}"
        number = OS_ERROR.search(str(exc))
        if number and (advice := refusal(int(number[1]), str(objects.local_path(path) or path))):
            raise ConfigError(message, advice=advice, table=path) from exc
        raise TransientError(message, advice="run it again; if it stays, check disk, network and rights") from exc


def _overtaken(path: str) -> OvertakenError:
    message = f"{path} was changed by another run at the same time"
    return OvertakenError(message, advice="nothing is lost; run again", table=path)


def _beginning(exc: Exception) -> str:
    return " ".join(COLOUR.sub("", str(exc)).split())[:FIRST_CHARACTERS]
