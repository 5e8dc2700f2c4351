"""The SELECTs of a model as their text alone tells them: what each reads, and which columns it yields."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from tidemark.lake.engine import Engine
from tidemark.model import Model, StarTable
from tidemark.modelling.places import Places
from tidemark.modelling.problem import Problem, likely
from tidemark.star.limits import Limit
from tidemark.star.selects import faults_of_reach, tree_of
from tidemark.star.shape import faults_of_select

EXPLICIT = "list the columns at the end of the SELECT, each once, in the order that the star is to have"
# A name and where it stands in the SELECT, in bytes; no name where the SELECT gives none.
Yielded = Sequence[tuple[str, int]]


def faults_of_selects(
    engine: Engine, model: Model, limits: Mapping[str, Mapping[str, Limit]], places: Places
) -> Iterator[Problem]:
    """Find SELECTs that are none, read what they do not name, or do not yield what the model says of them."""
    for star in model.stars.values():
        yield from _faults(engine, model, star, limits.get(star.name, {}), places)


def _faults(
    engine: Engine, model: Model, star: StarTable, table: Mapping[str, Limit], places: Places
) -> Iterator[Problem]:
    file, tree = f"{star.path}.sql", tree_of(engine, star)
    if tree["error"]:
        line = places.at_byte(file, star.sql, int(tree.get("position") or 0))
        yield Problem(file, line, f"{file} is no SQL: {tree['error_message']}", "mend the SELECT there")
        return
    reach = faults_of_reach(engine, model, star)
    known = [*model.sources, *model.seeds]
    for fault in reach:
        found = places.problem(f"{file} {fault}")
        yield Problem(found.file, found.line, found.problem, _advice(fault, star, model, known))
    columns = None if reach else yielded(tree)
    if columns is None:
        return
    names = [name for name, _ in columns]
    for at, name in enumerate(names):
        if name.lower() in map(str.lower, names[:at]) and name:
            line = places.at_byte(file, star.sql, columns[at][1])
            yield Problem(file, line, f"{file} yields two columns {name}", "give one of them another name")
    if all(names) and len({name.lower() for name in names}) == len(names):
        yield from _misfits(star, columns, table, places)


def _advice(fault: str, star: StarTable, model: Model, known: Sequence[str]) -> str:
    """Say how to mend a SELECT that reaches for what it may not read."""
    if not fault.startswith("reads '"):
        return "a SELECT depends on nothing but its tables and seeds"
    name = fault.split("'")[1]
    by_case = {each.lower(): each for each in model.sources}
    if name.lower() in by_case:
        return f"add {by_case[name.lower()]!r} to the reads of [star.{star.name}]"
    meant = likely(name, known)
    return f"write {meant}" if meant else "name it in model.toml as a [source.<table>], and in reads"


def _misfits(star: StarTable, columns: Yielded, table: Mapping[str, Limit], places: Places) -> Iterator[Problem]:
    file = f"{star.path}.sql"
    lines = {name: places.at_byte(file, star.sql, at) for name, at in columns}
    last = max(lines.values())
    types = {name: table[name].lake_type if name in table else "VARCHAR" for name in lines}
    for sentence in faults_of_select(star, types, table):
        named = next((name for name in lines if f"yields {name}," in sentence or f" for {name}," in sentence), "")
        yield Problem(file, lines.get(named, last), sentence, EXPLICIT if not named else "mend it there")
    for column, dimension in star.references.items():
        if column not in lines:
            meant = likely(column, lines)
            said = f"[star.{star.name}.references] has {column!r} for {dimension}, and {file} does not yield it"
            told = f"write {meant}" if meant else f"add it to {file}, or take the reference out"
            yield Problem("model.toml", places.in_toml("star", star.name, "references", column), said, told)


def yielded(tree: Mapping[str, Any]) -> Yielded | None:
    """Give the columns of a SELECT as its text names them; None where it does not, as by `select *`."""
    node = tree["statements"][0]["node"]
    while node["type"] == "SET_OPERATION_NODE":
        node = node["children"][0]
    if node["type"] != "SELECT_NODE" or any(each["class"] == "STAR" for each in node["select_list"]):
        return None
    return [
        (str(each["alias"] or (each.get("column_names") or [""])[-1]), int(each["query_location"]))
        for each in node["select_list"]
    ]
