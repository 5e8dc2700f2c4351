"""Check: every mistake in a model at once, from its files alone and, where there is a source, against that."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import starmap
from pathlib import Path

from tidemark.dashboard.figures import examined
from tidemark.errors import ConfigError, TidemarkError
from tidemark.lake.engine import Engine, open_engine
from tidemark.log.columns import Column
from tidemark.model import Model, StarTable
from tidemark.model_reader import find_model, read_model
from tidemark.model_source import FILE as SOURCE_FILE
from tidemark.model_source import column_of, read_source
from tidemark.modelling.elsewhere import faults_elsewhere
from tidemark.modelling.own_files import (
    faults_of_checks,
    faults_of_derivation,
    faults_of_seeds,
    faults_of_source_file,
    faults_of_warehouse,
    with_stars,
)
from tidemark.modelling.places import TOML, Places
from tidemark.modelling.problem import Problem, likely
from tidemark.modelling.select_files import faults_of_selects
from tidemark.modelling.source_check import examine
from tidemark.modelling.toml_lines import line_of_error
from tidemark.objects import is_key
from tidemark.star.limits import known_limits_of
from tidemark.warehouse.fact_views import CURRENT, LONGEST_NAME_BYTES, is_possible

# DuckDB's words for a column that a SELECT names and that is not there.
MISSING_COLUMN = re.compile(r'Referenced column "([^"]+)" not found')
TOP = ("name", "timezone", "source", "star")
FILES = (
    TOML,
    SOURCE_FILE,
    "warehouse.sql",
    "fact/*.sql",
    "dimension/*.sql",
    "seed/*.csv",
    "checks/*.sql",
    "dashboard/*.sql",
)


@dataclass(frozen=True)
class Checked:
    """What a check found.

    `sampled` counts the rows of each source table on which the SELECTs ran, if there was a source that could be asked;
    `failure` says why it could not. `compared` names the star tables whose SELECT ran on DuckDB and on Spark over the
    same made-up rows, if that was asked for.
    """

    directory: Path
    problems: tuple[Problem, ...]
    sampled: Mapping[str, int] | None = None
    failure: TidemarkError | None = None
    compared: tuple[str, ...] | None = None


def check(name: str, source_url: str | None = None, *, for_spark: bool = False) -> Checked:
    """Find every mistake in a model.

    Args:
        name: the model's directory, or the name of one that ships.
        source_url: a source to check it against; None for the files alone.
        for_spark: whether what does not mean the same in Spark is a mistake too.

    Raises:
        ConfigError: there is no such model, or the extra `spark` is missing.
    """
    directory = find_model(name)
    unreadable = list(_unreadable(directory))
    if unreadable:
        return Checked(directory, tuple(unreadable))
    try:
        model, sentences = read_model(directory)
    except ConfigError as exc:
        place = line_of_error(exc.message)
        return Checked(directory, (Problem(TOML, place, exc.message.partition(": ")[2], exc.advice),))
    places = Places(model)
    wrong = list(faults_of_source_file(directory, places))
    problems = [*map(places.problem, sentences), *wrong, *_of_names(model, places), *_of_figures(directory)]
    sampled, failure, compared = None, None, None
    with open_engine([]) as engine:
        sound = _sound(model, engine, problems, places, is_derivable=not wrong)
        if source_url is not None and not wrong:
            try:
                found, sampled = examine(engine, source_url, sound, places)
                problems = [*(_with_new_column(each, sound, places) for each in problems), *found]
            except TidemarkError as exc:
                failure = exc
        if for_spark:
            there = faults_elsewhere(engine, sound, _columns(directory, sound, places, is_readable=not wrong), places)
            problems, compared = [*problems, *there.problems], tuple(there.compared)
    return Checked(directory, tuple(dict.fromkeys(sorted(problems, key=_order))), sampled, failure, compared)


def _columns(directory: Path, model: Model, places: Places, *, is_readable: bool) -> dict[str, tuple[Column, ...]]:
    """Give the columns of source tables as the source has them, else as source.toml does, if that can be read."""
    found = read_source(directory) if is_readable else {}
    asked = {name: tuple(starmap(column_of, of.items())) for name, of in places.in_source.items()}
    return {name: of for name, of in {**found, **asked}.items() if name in model.sources}


def _with_new_column(problem: Problem, model: Model, places: Places) -> Problem:
    """Say of a column that only source.toml lacks how to add it there."""
    star = next((each for each in model.stars.values() if problem.file == f"{each.path}.sql"), None)
    missing = MISSING_COLUMN.search(problem.problem)
    if star and missing and places.text(SOURCE_FILE):
        for table in star.reads:
            if kind := places.in_source.get(table, {}).get(missing[1]):
                return replace(problem, advice=f'add {missing[1]} = "{kind}" below [{table}] of {SOURCE_FILE}')
    return problem


def _sound(model: Model, engine: Engine, problems: list[Problem], places: Places, *, is_derivable: bool) -> Model:
    """Check the files beside model.toml; return the model with what can be checked against a source.

    If source.toml cannot be read, nothing is known of the tables that follow from it.
    """
    bad_seeds = list(faults_of_seeds(engine, model, places))
    problems += bad_seeds
    bad = {problem.file for problem in bad_seeds}
    vars(model)["seeds"] = {name: path for name, path in model.seeds.items() if f"seed/{path.name}" not in bad}
    whole = with_stars(model, {name: star for name, star in model.stars.items() if _is_whole(star, model)})
    limits = known_limits_of(whole) if is_derivable else {}
    problems += faults_of_warehouse(whole, limits, places) if is_derivable else ()
    bad_selects = list(faults_of_selects(engine, whole, limits, places))
    problems += bad_selects
    problems += faults_of_checks(model, places)
    bad = {problem.file for problem in bad_selects}
    sound = with_stars(whole, {name: star for name, star in whole.stars.items() if f"{star.path}.sql" not in bad})
    problems += faults_of_derivation(sound, places) if is_derivable else ()
    return sound


def _is_whole(star: StarTable, model: Model) -> bool:
    """Say whether model.toml has everything of a star table that the checks of its SELECT look at."""
    if not star.key or not star.sql or any(name not in model.sources for name in star.reads):
        return False
    if star.kind != "fact":
        return bool(star.reads) or star.kind == "calendar"
    return star.driving in star.reads and len(star.source_key) == len(model.sources[star.driving].key) > 0


def _unreadable(directory: Path) -> Iterator[Problem]:
    """Find files that are no text: nothing else can be said of them."""
    for path in (path for pattern in FILES for path in sorted(directory.glob(pattern))):
        content = path.read_bytes()
        try:
            content.decode("utf-8")
        except UnicodeDecodeError as exc:
            line = content.count(b"\n", 0, exc.start) + 1
            name = path.relative_to(directory).as_posix()
            yield Problem(name, line, f"the file is no text in UTF-8: {exc.reason}", "save it as UTF-8")


def _of_names(model: Model, places: Places) -> Iterator[Problem]:
    """Find keys at the top that mean nothing, and names that the warehouse cannot keep apart."""
    for (key,) in places.keys_of_toml():
        if key not in TOP:
            meant = likely(key, TOP)
            told = f"write {meant}" if meant else f"take it out; there are {', '.join(TOP)}"
            yield Problem(TOML, places.in_toml(key), f"there is an unknown {key!r} at the top", told)
    for name in model.sources:
        if not is_key(f"latest/{name}"):
            said = f"[source.{name}] cannot be the name of a folder of the lake"
            yield Problem(TOML, places.in_toml("source", name), said, "read the table under another name")
    for star in model.stars.values():
        if not is_possible(star.name):
            said = f"{star.name!r} has more than the {LONGEST_NAME_BYTES} bytes of a name in PostgreSQL"
            yield Problem(TOML, places.in_toml("star", star.name), f"[star.{star.name}] {said}", "call it shorter")
        for fact in model.facts:
            if star.name == f"{fact.name}{CURRENT}":
                said = f"[star.{star.name}] has the name of the view that Tidemark makes of {fact.name}"
                yield Problem(TOML, places.in_toml("star", star.name), said, "call it otherwise")


def _of_figures(directory: Path) -> Iterator[Problem]:
    """Find what is wrong with the figures of the dashboard."""
    for fault in examined(directory)[2]:
        yield Problem(fault.file, max(1, fault.line), fault.said, f"expected {fault.expected}")


def _order(problem: Problem) -> tuple[int, str, int]:
    first = next((at for at, pattern in enumerate(FILES) if re.match(pattern.partition("*")[0], problem.file)), 0)
    return first, problem.file, problem.line
