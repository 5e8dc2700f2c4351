"""The model: which source tables there are and how they become a star schema, read from a directory.

The engine names no table: everything that is true of one database only is in this module's values.
"""

import hashlib
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Literal, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidemark.choosing import MASKS, Choice, faults_of
from tidemark.disclosure import name_keys
from tidemark.errors import ConfigError

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
PREFIXES: Mapping[Kind, str] = {"fact": "fact_", "dimension": "dim_", "calendar": "dim_"}


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

    `source_key` names the columns that hold the key of the driving table, in its order. Only a fact has a driving
    table, so only a fact has them. `references` maps a column to the dimension whose key it holds.

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
    references: Mapping[str, str] = field(default_factory=dict)
    mirror: MirroredTable | None = None

    @property
    def place(self) -> tuple[str, ...]:
        """Give its name in the warehouse, with the schema if it is not that of the search path."""
        return (self.mirror.schema, history_name(self.mirror.table)) if self.mirror else (self.name,)

    @property
    def view(self) -> tuple[str, ...]:
        """Give the name of the view of a fact's live rows, with the schema if it is not that of the search path."""
        return (self.mirror.schema, self.mirror.table) if self.mirror else (f"{self.name}_current",)

    @property
    def row_key(self) -> tuple[str, ...]:
        """Name the columns that tell the table's rows apart in the warehouse."""
        return (*self.source_key, "valid_from") if self.mirror else self.key

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
    """Everything that is true of one source only."""

    name: str
    directory: Path
    timezone: ZoneInfo
    sources: Mapping[str, SourceTable]
    stars: Mapping[str, StarTable]

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
        """Give the statements that make the warehouse's tables, keys, indexes and views."""
        return (self.directory / "warehouse.sql").read_text("utf-8")

    @cached_property
    def hash(self) -> str:
        """Give the SHA-256 over every file that decides what the star's rows are.

        That is the whole model but its checks. warehouse.sql counts, because it says what a column cannot hold.
        """
        digest = hashlib.sha256()
        for pattern in ("model.toml", "fact/*.sql", "dimension/*.sql", "seed/*.csv", "warehouse.sql"):
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


def load_model(model: str) -> Model:
    """Read a model, given by its name or its directory.

    Raises:
        ConfigError: there is no such model, or its files do not fit together; every problem is named.
    """
    directory = find_model(model)
    text = read_toml(directory)
    reader = Reader(directory)
    loaded = Model(
        name=str(text.get("name", directory.name)),
        directory=directory,
        timezone=reader.timezone(str(text.get("timezone", "UTC"))),
        sources={name: reader.source(name, table) for name, table in reader.tables(text, "source")},
        stars={name: reader.star(name, table) for name, table in reader.tables(text, "star")},
    )
    reader.check(loaded)
    if reader.problems:
        raise ConfigError.of([f"model {directory}: {problem}" for problem in reader.problems])
    name_keys({star.name: star.key_columns for star in loaded.stars.values()})
    return loaded


def read_toml(directory: Path) -> dict[str, Any]:
    """Read a model's model.toml; ConfigError where it is not TOML."""
    try:
        return tomllib.loads((directory / "model.toml").read_text("utf-8"))
    except tomllib.TOMLDecodeError as exc:
        message = f"{directory / 'model.toml'} is not TOML: {exc}"
        raise ConfigError(message, advice="mend that line") from exc


def shipped_models() -> list[str]:
    """Name the models that come with Tidemark."""
    return sorted(path.name for path in _shipped().iterdir() if (path / "model.toml").is_file())


def find_model(model: str) -> Path:
    """Find a model's directory, by its path or by the name of one that ships; raise ConfigError if there is none."""
    for directory in (Path(model), _shipped() / model):
        if (directory / "model.toml").is_file():
            return directory.absolute()
    known = ["mirror", *shipped_models()]
    message = f"no model {model!r}: expected a directory with a model.toml, or a model that ships: {known}"
    raise ConfigError(message, advice="set TIDEMARK_MODEL or --model")


def _shipped() -> Path:
    return Path(str(resources.files("tidemark") / "models"))


class Reader:
    """Turn TOML tables into the model's values, and gather every problem instead of stopping at the first."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.problems: list[str] = []

    def tables(self, text: Mapping[str, object], section: str) -> Iterator[tuple[str, dict[str, object]]]:
        """Give the tables of a section, such as `source`, by name."""
        tables = text.get(section)
        if not isinstance(tables, dict) or not tables:
            self.problems.append(f"model.toml has no [{section}.<table>]")
            return
        yield from tables.items()

    def timezone(self, name: str) -> ZoneInfo:
        """Read a time zone."""
        try:
            return ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError):
            self.problems.append(f"timezone {name!r} is not an IANA time zone")
            return ZoneInfo("UTC")

    def source(self, name: str, table: Mapping[str, object]) -> SourceTable:
        """Read a source table."""
        where = f"[source.{name}]"
        known = {"key", "schema", "table", "created", "updated", "sweep", "sweep_every", "evolve"}
        self.known(where, table, known | {"exclude", "mask", "where"})
        sweep = table.get("sweep", "rows")
        if sweep not in ("rows", "keys"):
            self.problems.append(f'{where} sweep is {sweep!r}: expected "rows" or "keys"')
        every = table.get("sweep_every", 1)
        if not isinstance(every, int) or every < 1:
            self.problems.append(f"{where} sweep_every is {every!r}: expected a number of polls, 1 or more")
            every = 1
        updated = self._optional(where, table, "updated")
        return SourceTable(
            name=name,
            key=self.names(where, table, "key"),
            schema=str(table.get("schema", "public")),
            table=self._optional(where, table, "table", "a table's name") or "",
            created=self._optional(where, table, "created"),
            updated=updated,
            sweep="keys" if sweep == "keys" and updated else "rows",
            sweep_every=every if updated else 1,
            evolve=self.evolve(where, table, "warn"),
            choice=self._choice(where, table),
        )

    def evolve(self, where: str, table: Mapping[str, object], usual: Evolve) -> Evolve:
        """Read what a change of a table's columns means."""
        given = table.get("evolve", usual)
        known: tuple[Evolve, ...] = get_args(Evolve)
        for each in known:
            if given == each:
                return each
        self.problems.append(f'{where} evolve is {given!r}: expected "follow", "warn" or "stop"')
        return usual

    def _choice(self, where: str, table: Mapping[str, object]) -> Choice:
        mask = table.get("mask", {})
        if not isinstance(mask, dict) or not all(each in MASKS for each in mask.values()):
            self.problems.append(f"{where} mask is {mask!r}: expected column names, each with one of {list(MASKS)}")
            mask = {}
        if table.get("where") == "":
            self.problems.append(f"{where} where is empty: expected a condition, or no where")
        choice = Choice(
            exclude=self.names(where, table, "exclude") if "exclude" in table else (),
            mask=mask,
            where=self._optional(where, table, "where", "a condition of SQL") or "",
        )
        key = table.get("key")
        moments = tuple(str(table[name]) for name in ("created", "updated") if name in table)
        faults = faults_of(choice, tuple(key) if isinstance(key, list) else (), moments)
        self.problems += [f"{where} {fault}" for fault in faults]
        return choice

    def star(self, name: str, table: Mapping[str, object]) -> StarTable:
        """Read a star table, and its SELECT."""
        where = f"[star.{name}]"
        self.known(where, table, {"kind", "key", "reads", "driving", "source_key", "references"})
        kind = self._kind(where, table.get("kind"))
        if not name.startswith(PREFIXES[kind]):
            self.problems.append(f"{where} is a {kind}: its name must begin with {PREFIXES[kind]!r}")
        references = table.get("references", {})
        star = StarTable(
            name=name,
            kind=kind,
            key=self.names(where, table, "key"),
            reads=() if kind == "calendar" else self.names(where, table, "reads"),
            sql="",
            driving=str(table.get("driving", "")) if kind == "fact" else "",
            source_key=self.names(where, table, "source_key") if kind == "fact" else (),
            references=dict(references) if isinstance(references, dict) else {},
        )
        path = self.directory / f"{star.path}.sql"
        if not path.is_file():
            self.problems.append(f"{where} has no {star.path}.sql")
            return star
        return StarTable(**{**star.__dict__, "sql": path.read_text("utf-8").strip().removesuffix(";")})

    def check(self, model: Model) -> None:
        """Find what does not fit together."""
        calendars = [star.name for star in model.dimensions if star.kind == "calendar"]
        self._check_names(model, "calendar" if calendars else None)
        if len(calendars) > 1:
            self.problems.append(f"more than one calendar: {calendars}")
        if not (self.directory / "warehouse.sql").is_file():
            self.problems.append("there is no warehouse.sql")
        for star in model.stars.values():
            where = f"[star.{star.name}]"
            self.problems += [
                f"{where} reads {name!r}, which is no [source.{name}]"
                for name in star.reads
                if name not in model.sources
            ]
            self.problems += [
                f"{where} {column} references {name!r}, which is no dimension"
                for column, name in star.references.items()
                if name not in {dimension.name for dimension in model.dimensions}
            ]
            if star.kind != "fact":
                continue
            if star.driving not in star.reads:
                self.problems.append(f"{where} driving is {star.driving!r}: expected one of its reads {star.reads}")
            elif len(star.source_key) != len(model.sources[star.driving].key):
                key = model.sources[star.driving].key
                self.problems.append(f"{where} source_key {star.source_key} does not match {star.driving}'s key {key}")
            if len(star.key) != 1:
                self.problems.append(f"{where} key is {star.key}: a fact has one surrogate key")

    def _check_names(self, model: Model, calendar: str | None) -> None:
        """Find names that are one and the same for the engine."""
        self.problems += [
            f"{a} and {b} have the same name after their prefix, or names that differ in case alone"
            for a, b in _doubles({f"[star.{star.name}]": star.short_name for star in model.stars.values()})
        ]
        read = {f"[source.{name}]": name for name in model.sources} | {f"seed/{name}.csv": name for name in model.seeds}
        read |= {"the calendar's days": calendar} if calendar else {}
        self.problems += [
            f"{a} and {b} are one table for the engine, since their names are equal or differ in case alone: read the"
            " table through a view with another name, or rename the seed"
            for a, b in _doubles(read)
        ]

    def known(self, where: str, table: Mapping[str, object], names: set[str]) -> None:
        """Find keys that mean nothing."""
        self.problems += [f"{where} has an unknown {name!r}: expected {sorted(names)}" for name in table.keys() - names]

    def names(self, where: str, table: Mapping[str, object], field: str) -> tuple[str, ...]:
        """Read a list of names that is not empty."""
        names = table.get(field)
        if not isinstance(names, list) or not names or not all(isinstance(name, str) for name in names):
            self.problems.append(f"{where} {field} is {names!r}: expected a list of names")
            return ()
        return tuple(names)

    def _kind(self, where: str, kind: object) -> Kind:
        for known in FOLDERS:
            if kind == known:
                return known
        self.problems.append(f"{where} kind is {kind!r}: expected one of {list(FOLDERS)}")
        return "dimension"

    def _optional(
        self, where: str, table: Mapping[str, object], field: str, expected: str = "a column's name"
    ) -> str | None:
        name = table.get(field)
        if name is not None and not isinstance(name, str):
            self.problems.append(f"{where} {field} is {name!r}: expected {expected}")
            return None
        return name


def _doubles(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the things, as pairs, whose names are the same for DuckDB, which lowers the letters A to Z."""
    first: dict[bytes, str] = {}
    for thing, name in names.items():
        # Bytes are lowered in ASCII alone.
        known = first.setdefault(name.encode().lower(), thing)
        if known != thing:
            yield known, thing
