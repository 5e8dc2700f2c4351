"""Reading a model's directory: TOML and files become the model's values, and every problem is named at once."""

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from importlib import resources
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from tidemark.choosing import MASKS, Choice, faults_of
from tidemark.disclosure import name_keys
from tidemark.errors import ConfigError
from tidemark.model import FOLDERS, PREFIXES, SURROGATE, Evolve, Kind, Model, SourceTable, StarTable

# What PostgreSQL takes, less what the names of a fact's view and indexes need to differ.
LONGEST_FACT_BYTES = 54
# Delta tables cannot lie in such a folder, see lake/table.py.
UNFIT_FOR_FOLDERS = re.compile(r"[#?\\\x00-\x1f\x7f]|%[0-9a-fA-F]{2}")
FLAGS = {"history", "soft_delete"}


def load_model(model: str) -> Model:
    """Read a model, given by its name or its directory.

    Raises:
        ConfigError: there is no such model, or its files do not fit together; every problem is named.
    """
    directory = find_model(model)
    loaded, problems = read_model(directory)
    if problems:
        raise ConfigError.of([f"model {directory}: {problem}" for problem in problems])
    name_keys({star.name: star.key_columns for star in loaded.stars.values()})
    return loaded


def read_model(directory: Path) -> tuple[Model, list[str]]:
    """Read a model's directory, and say what is wrong with it; what is wrong is left out of the model, or is empty.

    Raises:
        ConfigError: model.toml is not TOML.
    """
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
    return loaded, reader.problems


def read_toml(directory: Path) -> dict[str, Any]:
    """Read a model's model.toml; ConfigError where it is not TOML."""
    try:
        return tomllib.loads((directory / "model.toml").read_text("utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as exc:
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
        for name, table in tables.items():
            if isinstance(table, dict):
                yield name, table
            else:
                self.problems.append(f"[{section}] {name} is {table!r}: expected a section [{section}.{name}]")

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
        ours = {"types", "nullable", "not_null", *FLAGS}
        self.known(where, table, {"kind", "key", "reads", "driving", "source_key", "references", *ours})
        kind = self._kind(where, table.get("kind"), name)
        if not name.startswith(PREFIXES[kind]):
            self.problems.append(f"{where} is a {kind}: its name must begin with {PREFIXES[kind]!r}")
        references = self._references(where, table.get("references", {}))
        types = table.get("types", {})
        if not isinstance(types, dict) or not all(isinstance(kind, str) and kind for kind in types.values()):
            self.problems.append(f"{where} types is {types!r}: expected a PostgreSQL type for each column's name")
            types = {}
        star = StarTable(
            name=name,
            kind=kind,
            key=self.names(where, table, "key"),
            reads=() if kind == "calendar" else self.names(where, table, "reads"),
            sql="",
            driving=str(table.get("driving", "")) if kind == "fact" or table.get("history") is True else "",
            source_key=self.names(where, table, "source_key") if kind == "fact" else (),
            references=references,
            types=types,
            nullable=self.names(where, table, "nullable") if "nullable" in table else (),
            not_null=self.names(where, table, "not_null") if "not_null" in table else (),
            history=self._flag(where, table, kind, "history"),
            soft_delete=self._flag(where, table, kind, "soft_delete"),
        )
        if star.history and star.soft_delete:
            self.problems.append(
                f"{where} has history and soft_delete: expected one of them, since a history says what was deleted"
            )
        if star.history:
            star = replace(star, key=(f"{star.short_name}{SURROGATE}",), source_key=star.key)
        path = self.directory / f"{star.path}.sql"
        if not path.is_file():
            self.problems.append(f"{where} has no {star.path}.sql")
            return star
        return replace(star, sql=path.read_text("utf-8").strip().removesuffix(";"))

    def check(self, model: Model) -> None:
        """Find what does not fit together."""
        calendars = [star.name for star in model.dimensions if star.kind == "calendar"]
        self._check_names(model, "calendar" if calendars else None)
        if len(calendars) > 1:
            self.problems.append(f"more than one calendar: {calendars}")
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
            if not (star.kind == "fact" or star.driving):
                continue
            if star.driving not in star.reads:
                self.problems.append(f"{where} driving is {star.driving!r}: expected one of its reads {star.reads}")
            elif star.driving in model.sources and len(star.source_key) != len(model.sources[star.driving].key):
                key = model.sources[star.driving].key
                own = f"{'source_key' if star.kind == 'fact' else 'key'} {star.source_key}"
                self.problems.append(f"{where} {own} does not match {star.driving}'s key {key}")
            if len(star.name.encode()) > LONGEST_FACT_BYTES:
                self.problems.append(
                    f"{where} has {len(star.name.encode())} bytes: expected {LONGEST_FACT_BYTES} or less, since"
                    f" PostgreSQL cuts names at 63, and the view {star.name}_current would have the name of an index"
                )
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
            f"{a} and {b} are one table for the engine, since their names are equal or differ in case alone: call one"
            " otherwise and write the source's name as its table = …, or rename the seed"
            for a, b in _doubles(read)
        ]
        self.problems += [
            f"[source.{name}] cannot be the name of a folder, in which its rows lie{why}: call it otherwise, and write"
            f" table = {name!r} below it"
            for name, why in _unfit(model.sources)
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

    def _references(self, where: str, references: object) -> dict[str, str]:
        found = references if isinstance(references, dict) else {}
        if references != {name: dimension for name, dimension in found.items() if isinstance(dimension, str)}:
            self.problems.append(f'{where} references is {references!r}: expected lines column = "dim_…"')
            return {}
        return dict(found)

    def _kind(self, where: str, kind: object, name: str) -> Kind:
        for known in FOLDERS:
            if kind == known:
                return known
        self.problems.append(f"{where} kind is {kind!r}: expected one of {list(FOLDERS)}")
        # By its name, so that one mistake does not look like three.
        return "fact" if name.startswith(PREFIXES["fact"]) else "dimension"

    def _flag(self, where: str, table: Mapping[str, object], kind: Kind, name: str) -> bool:
        """Read whether a dimension does more than to keep the latest values."""
        given = table.get(name, False)
        if not isinstance(given, bool):
            self.problems.append(f"{where} {name} is {given!r}: expected true or false")
        elif given and kind != "dimension":
            self.problems.append(f"{where} is a {kind}: only a dimension may have {name}")
        return given is True and kind == "dimension"

    def _optional(
        self, where: str, table: Mapping[str, object], field: str, expected: str = "a column's name"
    ) -> str | None:
        name = table.get(field)
        if name is not None and not isinstance(name, str):
            self.problems.append(f"{where} {field} is {name!r}: expected {expected}")
            return None
        return name


def _unfit(names: Collection[str]) -> Iterator[tuple[str, str]]:
    """Give those names that a folder of a bucket, or of a Delta table, cannot have, each with what there is to say."""
    for name in names:
        parts = name.split("/")
        around = ["/".join(parts[:end]) for end in range(1, len(parts))]
        if UNFIT_FOR_FOLDERS.search(name) or not {"", ".", "..", "_delta_log"}.isdisjoint(parts):
            yield name, ""
        else:
            yield from ((name, f", since it lies within that of [source.{each}]") for each in around if each in names)


def _doubles(names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give the things, as pairs, whose names are the same for DuckDB, which lowers the letters A to Z."""
    first: dict[bytes, str] = {}
    for thing, name in names.items():
        # Bytes are lowered in ASCII alone.
        known = first.setdefault(name.encode().lower(), thing)
        if known != thing:
            yield known, thing
