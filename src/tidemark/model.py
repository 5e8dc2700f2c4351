"""The model: which source tables there are and how they become a star schema, read from a directory.

The engine names no table: everything that is true of one database only is in this module's values.
"""

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol
from zoneinfo import ZoneInfo

from tidemark.choosing import Choice

Sweep = Literal["rows", "keys"]
# Whether a poll takes a new column, a lost one or another type along, and says so; or ends, before it writes anything.
Evolve = Literal["follow", "warn", "stop"]
Kind = Literal["fact", "dimension", "calendar"]
# The end of the name of a mirrored table's versions. PostgreSQL cuts off a longer name.
HISTORY = "_history"
LONGEST_NAME_BYTES = 63
# What a name in a bucket or in a Delta table's path cannot hold, and the mark that stands for it.
_UNFIT = re.compile(r"[/#?\\%~\x00-\x1f\x7f]")
FOLDERS: Mapping[Kind, str] = {"fact": "fact", "dimension": "dimension", "calendar": "dimension"}
# How the name of the surrogate key of a dimension's versions ends.
SURROGATE = "_record_id"
PREFIXES: Mapping[Kind, str] = {"fact": "fact_", "dimension": "dim_", "calendar": "dim_"}


class SourceColumn(Protocol):
    """A column of a source table, with its type in PostgreSQL's own spelling."""

    @property
    def name(self) -> str: ...  # noqa: D102

    @property
    def type(self) -> str: ...  # noqa: D102

    @property
    def nullable(self) -> bool: ...  # noqa: D102


@dataclass(frozen=True)
class MirroredTable:
    """A source table as a mirror has it: where it lies, its key, and PostgreSQL's type of each column it has or had.

    `hidden` are the columns that never leave the source. A table that is not followed stays as the log has it: it may
    be read no longer, or the source has it no longer (`is_dropped`). Of one that is not partitioned only its own rows
    are read: those of tables that inherit from it may have the same keys, and are mirrored with these tables.
    """

    schema: str
    table: str
    key: tuple[str, ...]
    columns: Mapping[str, str]
    hidden: tuple[str, ...] = ()
    is_followed: bool = True
    is_dropped: bool = False
    is_partitioned: bool = False


@dataclass(frozen=True)
class SourceTable:
    """A table of the source: its key, and the columns that say when a row was created and last changed.

    `table` is what the source calls it, if that is another name than the model's. `choice` says what of it leaves the
    source, `evolve` what a change of its columns means, see `Evolve`. With `is_alone` the rows of tables that inherit
    from it are none of its own.
    """

    name: str
    key: tuple[str, ...]
    schema: str = "public"
    table: str = ""
    created: str | None = None
    updated: str | None = None
    sweep: Sweep = "rows"
    sweep_every: int = 1
    evolve: Evolve = "warn"
    choice: Choice = field(default_factory=Choice)
    is_alone: bool = False

    @property
    def relation(self) -> str:
        """Give the name that the source has for it, without its schema."""
        return self.table or self.name

    @property
    def moments(self) -> tuple[str, ...]:
        """Name the columns that say when a row was created and last changed."""
        return tuple(name for name in (self.created, self.updated) if name)


@dataclass(frozen=True)
class StarTable:
    """A table of the star schema and where its rows come from.

    A fact, and a dimension with `history`, is a table of versions: `key` is the surrogate key of a version, and
    `source_key` names the columns that say which row it is a version of: in a fact those that hold the key of the
    driving table, in its order; in a dimension those that model.toml calls its key. Such a dimension may have a driving
    table as well: its rows are then those of that table, whose `updated` dates their versions as a fact's. `references`
    maps a column to the dimension whose key it holds. `types`, `nullable` and `not_null` say of columns what does not
    follow from the SELECT, where no warehouse.sql has the table.

    The table of a mirror is a fact too, whose SELECT is the source table itself. Its key, the number of the change, is
    in the lake alone, and its place in the warehouse follows from the source's.
    """

    name: str
    kind: Kind
    key: tuple[str, ...]
    reads: tuple[str, ...]
    sql: str
    driving: str = ""
    source_key: tuple[str, ...] = ()
    references: Mapping[str, str] = field(default_factory=dict, hash=False)
    types: Mapping[str, str] = field(default_factory=dict, hash=False)
    nullable: tuple[str, ...] = ()
    not_null: tuple[str, ...] = ()
    history: bool = False
    soft_delete: bool = False
    mirror: MirroredTable | None = field(default=None, hash=False)

    @property
    def is_versioned(self) -> bool:
        """Say whether the table keeps every version of a row."""
        return self.kind == "fact" or self.history

    @property
    def knows_deletions(self) -> bool:
        """Say whether a dimension says of its rows which ones are gone; any other one keeps them as they were."""
        return self.history or self.soft_delete

    @property
    def row_key(self) -> tuple[str, ...]:
        """Name the columns that say which row it is, in a table of versions as in any other."""
        return self.source_key or self.key

    @property
    def version_key(self) -> tuple[str, ...]:
        """Name the columns that tell the table's rows apart in the warehouse, versions of one row too."""
        return (*self.source_key, "valid_from") if self.mirror else self.key

    @property
    def place(self) -> tuple[str, ...]:
        """Give its name in the warehouse, with the schema if it is not that of the search path."""
        return (self.mirror.schema, history_name(self.mirror.table)) if self.mirror else (self.name,)

    @property
    def view(self) -> tuple[str, ...]:
        """Give the name of the view of the live rows, with the schema if it is not that of the search path."""
        return (self.mirror.schema, self.mirror.table) if self.mirror else (f"{self.name}_current",)

    @property
    def short_name(self) -> str:
        """Give the name without its prefix: `sales_order` for `fact_sales_order`."""
        return self.name.removeprefix(PREFIXES[self.kind])

    @property
    def path(self) -> str:
        """Give the table's folder in the processed bucket: `fact/sales_order` for `fact_sales_order`."""
        if self.mirror:
            return f"mirror/{self.name}"
        return f"{FOLDERS[self.kind]}/{self.short_name}"

    @property
    def key_columns(self) -> frozenset[str]:
        """Name the columns by which one finds a row: keys, those of dimensions too, and where a version begins."""
        return frozenset((*self.key, *self.source_key, *self.references, *(["valid_from"] if self.source_key else [])))


@dataclass(frozen=True)
class Model:
    """Everything that is true of one source only.

    `columns` are those of source tables where the model has no file that says them, and `derived` is the SHA-256 of the
    statements that follow from them; see the room `tables`.
    """

    name: str
    directory: Path
    timezone: ZoneInfo
    sources: Mapping[str, SourceTable]
    stars: Mapping[str, StarTable]
    columns: Mapping[str, Sequence[SourceColumn]] = field(default_factory=dict)
    derived: str = ""

    def following(self, tables: Mapping[str, MirroredTable]) -> "Model":
        """Give the model as of a batch with these tables: a written one stays as it is, a mirror has exactly these."""
        del tables
        return self

    @property
    def polled(self) -> Mapping[str, SourceTable]:
        """Give the source tables that polls read; of a mirror some may be gone from the source."""
        return self.sources

    @property
    def needs_salt(self) -> bool:
        """Say whether a value of the source is masked with a salt."""
        return any(table.choice.needs_salt for table in self.sources.values())

    def salted(self, salt: str) -> "Model":
        """Give the model with the salt that masks values of the source."""
        sources = {
            name: replace(table, choice=replace(table.choice, salt=salt)) if table.choice.needs_salt else table
            for name, table in self.sources.items()
        }
        return replace(self, sources=sources)

    @property
    def facts(self) -> tuple[StarTable, ...]:
        """Give the facts, in the model's order."""
        return tuple(star for star in self.stars.values() if star.kind == "fact")

    @property
    def dimensions(self) -> tuple[StarTable, ...]:
        """Give the dimensions and the calendar, in the model's order."""
        return tuple(star for star in self.stars.values() if star.kind != "fact")

    @property
    def versioned(self) -> tuple[StarTable, ...]:
        """Give the tables of versions, in the model's order."""
        return tuple(star for star in self.stars.values() if star.is_versioned)

    @cached_property
    def seeds(self) -> Mapping[str, Path]:
        """Give the constant tables by name, each a CSV file with a header."""
        return {path.stem: path for path in sorted((self.directory / "seed").glob("*.csv"))}

    @cached_property
    def checks(self) -> Mapping[str, str]:
        """Give the laws by name, each a SELECT over the warehouse that returns the rows that break it."""
        return {path.stem: path.read_text("utf-8") for path in sorted((self.directory / "checks").glob("*.sql"))}

    @cached_property
    def warehouse_sql(self) -> str:
        """Give the statements that the model itself has for the warehouse; the tables that they lack are derived."""
        path = self.directory / "warehouse.sql"
        return path.read_text("utf-8") if path.is_file() else ""

    @cached_property
    def hash(self) -> str:
        """Give the SHA-256 over every file that decides what the star's rows are.

        That is the whole model but its checks. warehouse.sql and source.toml count, because they say what a column
        cannot hold.
        """
        digest = hashlib.sha256(self.derived.encode())
        for pattern in ("model.toml", "fact/*.sql", "dimension/*.sql", "seed/*.csv", "warehouse.sql", "source.toml"):
            for path in sorted(self.directory.glob(pattern)):
                content = path.read_bytes()
                digest.update(f"{path.relative_to(self.directory).as_posix()} {len(content)}\n".encode() + content)
        return digest.hexdigest()


def mirrored_table(content: Mapping[str, Any]) -> MirroredTable:
    """Read a mirrored table as a manifest has it."""
    return MirroredTable(**{**content, "key": tuple(content["key"]), "hidden": tuple(content["hidden"])})


def mirror_name(schema: str, table: str) -> str:
    """Name a mirrored table: `public.film`; what a folder of a bucket cannot hold becomes `~` and its number.

    No two tables get one name, because a dot of the schema's own becomes a number too.
    """
    return f"{_UNFIT.sub(_as_number, schema).replace('.', '~2E')}.{_UNFIT.sub(_as_number, table)}"


def _as_number(found: re.Match[str]) -> str:
    return f"~{ord(found[0]):02X}"


def history_name(table: str) -> str:
    """Name the table of a mirrored table's versions."""
    return fitted(table, HISTORY)


def fitted(name: str, end: str = "") -> str:
    """Give a name with another end; if PostgreSQL would cut it off, the name's beginning and a digest of it stay."""
    if len(f"{name}{end}".encode()) <= LONGEST_NAME_BYTES:
        return f"{name}{end}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    room = LONGEST_NAME_BYTES - len(f"_{digest}{end}")
    return f"{name.encode()[:room].decode(errors='ignore')}_{digest}{end}"
