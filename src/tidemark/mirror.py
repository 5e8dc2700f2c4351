"""The mirror: the model that is made from the source's catalogue, each table with its own columns and its history.

A mirror is a model like any other, only that nobody wrote it: a poll finds out which tables there are, and a manifest
says which tables its batch has. So each stage makes the model anew from the manifest that it works on.
"""

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from pathlib import Path
from zoneinfo import ZoneInfo

from tidemark.choosing import Choice
from tidemark.errors import ConfigError
from tidemark.lake.sqltext import OWN, listed, named_as, quoted
from tidemark.model import Evolve, MirroredTable, Model, SourceTable, StarTable
from tidemark.model_reader import Reader, find_model, load_model, read_toml

NAME = "mirror"
# The number of a change, by which the lake tells versions apart.
CHANGE = f"{OWN}change"
# The columns that history adds, in the warehouse's order.
HISTORY = ("valid_from", "valid_to", "is_deleted", "batch_id")
SCHEMAS = ("public",)
# How many names a pattern has that stands for a column.
WITH_COLUMN = 3


@dataclass(frozen=True)
class Scope:
    """Which tables and columns are taken of a catalogue, by patterns like those of file names; no schema means all.

    A pattern of one name stands for tables, of two for a schema and its tables, of three for columns: `film_*`,
    `crm.*`, `public.staff.password`. Everything is taken that `include` names, or everything at all if it names
    nothing, apart from what `exclude` names. `sources` has what is said of single tables, by their names in the log.
    """

    schemas: tuple[str, ...] = SCHEMAS
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    evolve: Evolve = "follow"
    sources: Mapping[str, SourceTable] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raise ConfigError for what is no pattern."""
        wrong = [each for each in (*self.include, *self.exclude) if not 0 < len(_parts(each)) <= WITH_COLUMN]
        if wrong:
            expected = (
                "expected table, schema.table or schema.table.column, where * stands for any letters and ? for one"
            )
            raise ConfigError.of([f"{each!r} is no pattern of tables or columns: {expected}" for each in wrong])

    def takes(self, schema: str, table: str) -> bool:
        """Say whether the mirror is to have a table."""
        wanted = [each for each in self.include if len(_parts(each)) < WITH_COLUMN]
        is_wanted = not wanted or _is_named(wanted, schema, table)
        return (not self.schemas or schema in self.schemas) and is_wanted and not _is_named(self.exclude, schema, table)

    def leaves_out(self, schema: str, table: str, columns: Iterable[str]) -> tuple[str, ...]:
        """Name those columns of a table that the mirror is not to have."""
        wanted = [each for each in self.include if len(_parts(each)) == WITH_COLUMN]
        mine = [each for each in wanted if _is_named([each.rpartition(".")[0]], schema, table)]
        return tuple(
            column
            for column in columns
            if _is_named(self.exclude, schema, table, column) or (mine and not _is_named(mine, schema, table, column))
        )


@dataclass(frozen=True)
class Mirror(Model):
    """A model made from a catalogue; `tables` has what it was made of."""

    scope: Scope = field(default_factory=Scope)
    tables: Mapping[str, MirroredTable] = field(default_factory=dict)

    def following(self, tables: Mapping[str, MirroredTable]) -> "Mirror":
        """Give the mirror of exactly these tables, by their names in the log."""
        return mirror_of(tables, self.scope)

    @property
    def needs_salt(self) -> bool:
        """Say whether a value of the source is masked with a salt."""
        return any(source.choice.needs_salt for source in self.scope.sources.values())

    def salted(self, salt: str) -> "Mirror":
        """Give the mirror with the salt that masks values of the source."""
        told = self.scope.sources
        sources = {name: replace(each, choice=replace(each.choice, salt=salt)) for name, each in told.items()}
        return mirror_of(self.tables, replace(self.scope, sources=sources))

    @property
    def polled(self) -> Mapping[str, SourceTable]:
        """Give the tables that are followed."""
        return {name: self.sources[name] for name, table in self.tables.items() if table.is_followed}

    @property
    def seeds(self) -> Mapping[str, Path]:
        """Give no constant tables."""
        return {}

    @property
    def checks(self) -> Mapping[str, str]:
        """Give no laws."""
        return {}

    @property
    def warehouse_sql(self) -> str:
        """Give no statements: they follow from the tables."""
        return ""

    @property
    def hash(self) -> str:
        """Give the SHA-256 over what the rows depend on: the tables and their columns."""
        return hashlib.sha256(repr([(name, star.sql) for name, star in self.stars.items()]).encode()).hexdigest()


def mirror_of(tables: Mapping[str, MirroredTable], scope: Scope) -> Mirror:
    """Make the mirror of some tables."""
    return Mirror(
        name=NAME,
        directory=Path(NAME),
        timezone=ZoneInfo("UTC"),
        sources={name: _source(name, table, scope) for name, table in tables.items()},
        stars={name: _star(name, table) for name, table in tables.items()},
        scope=scope,
        tables=tables,
    )


def history_columns(table: MirroredTable) -> dict[str, str]:
    """Name the source's columns in the table of versions, where a name that history needs has `source_` before it.

    A column keeps its name whatever comes later, since the later ones stand after it.
    """
    taken, found = set(HISTORY), {}
    for column in table.columns:
        name = column
        while name.lower() in taken:
            name = f"source_{name}"
        taken.add(name.lower())
        found[column] = name
    return found


def open_model(model: str, scope: Scope) -> Model:
    """Read a model, given by its name or its directory; `scope` says what the mirror that ships takes.

    A directory whose model.toml has a `[mirror]` is a mirror as well, with a scope of its own.

    Raises:
        ConfigError: there is no such model, or its files do not fit together; every problem is named.
    """
    if model == NAME:
        return mirror_of({}, scope)
    directory = find_model(model)
    text = read_toml(directory)
    if "mirror" not in text:
        return load_model(model)
    reader = Reader(directory)
    scope = _scope(reader, text)
    if reader.problems:
        raise ConfigError.of([f"model {directory}: {problem}" for problem in reader.problems])
    return mirror_of({}, scope)


def _scope(reader: Reader, text: Mapping[str, object]) -> Scope:
    said, tables = text["mirror"], text.get("source", {})
    said, tables = (each if isinstance(each, dict) else {} for each in (said, tables))
    reader.known("[mirror]", said, {"schemas", "include", "exclude", "evolve"})
    reader.known("model.toml", text, {"name", "mirror", "source"})
    lists = {name: reader.names("[mirror]", said, name) for name in ("schemas", "include", "exclude") if name in said}
    sources = {}
    for name, table in tables.items():
        reader.known(f"[source.{name}]", table, {"exclude", "mask", "where", "evolve"})
        # The catalogue says the rest. A dot in the section's name stands between schema and table.
        sources[name if "." in name else f"{SCHEMAS[0]}.{name}"] = reader.source(name, {"key": ["-"], **table})
    return Scope(**lists, evolve=reader.evolve("[mirror]", said, "follow"), sources=sources)


def _source(name: str, table: MirroredTable, scope: Scope) -> SourceTable:
    told = scope.sources.get(name)
    choice, evolve = (told.choice, told.evolve) if told else (Choice(), scope.evolve)
    choice = replace(choice, exclude=tuple(dict.fromkeys((*choice.exclude, *table.hidden))))
    alone = not table.is_partitioned
    return SourceTable(name, table.key, table.schema, table.table, evolve=evolve, choice=choice, is_alone=alone)


def _star(name: str, table: MirroredTable) -> StarTable:
    names = history_columns(table)
    fields = listed(named_as(quoted(column), other) for column, other in names.items())
    select = " ".join(["select", fields, "from", quoted(name)])
    return StarTable(
        name=name,
        kind="fact",
        key=(CHANGE,),
        reads=(name,),
        sql=select,
        driving=name,
        source_key=tuple(names[column] for column in table.key),
        mirror=table,
    )


def _parts(pattern: str) -> list[str]:
    parts = pattern.split(".")
    return parts if all(parts) else []


def _is_named(patterns: Iterable[str], *names: str) -> bool:
    """Say whether a pattern of as many names stands for a thing; one name alone stands for a table of any schema."""
    found = [_parts(each) for each in patterns]
    return any(
        all(map(fnmatchcase, names[-len(parts) :], parts))
        for parts in found
        if len(parts) == len(names) or (len(names) < WITH_COLUMN and len(parts) < WITH_COLUMN)
    )
