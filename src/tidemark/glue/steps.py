"""Steps: what is to be done so that a database of the catalog has the entries that it should; nothing is done here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from tidemark.errors import ConfigError
from tidemark.glue.entries import MARK, Entry


@dataclass(frozen=True)
class Step:
    """What is to be done, or was done, to one entry; `input` is what Glue is to have then."""

    name: str
    what: Literal["database", "table", "view"]
    outcome: Literal["created", "updated", "unchanged"]
    input: Mapping[str, Any] | None = None
    version: str = ""


def steps_for(
    database: str, lake: str, wanted: Sequence[Entry], there: Mapping[str, Mapping[str, Any]] | None
) -> list[Step]:
    """Say what is to be done.

    Args:
        database: the database of the catalog.
        lake: the URL of the lake.
        wanted: the entries that the lake has.
        there: the entries that the database has, by name as Glue's GetTables gives them; None if there is no database.

    Raises:
        ConfigError: two entries have one name, or an entry is there that is not of this lake.
    """
    faults = [*_twice(wanted), *_of_others(lake, wanted, there or {})]
    if faults:
        advice = "name another database of the catalog: tidemark catalog --database <name>"
        raise ConfigError.of(faults, advice=advice)
    made = Step(database, "database", "unchanged" if there is not None else "created", {"Name": database})
    return [made, *(_step(entry, (there or {}).get(entry.name)) for entry in wanted)]


def _step(entry: Entry, present: Mapping[str, Any] | None) -> Step:
    what: Literal["table", "view"] = "view" if entry.is_view else "table"
    if present is None:
        return Step(entry.name, what, "created", entry.input)
    if _has(present, entry.input):
        return Step(entry.name, what, "unchanged")
    # What another hand has added to the parameters stays, such as a note or what a query engine keeps there.
    parameters = {**present.get("Parameters", {}), **entry.input["Parameters"]}
    version = str(present.get("VersionId", ""))
    return Step(entry.name, what, "updated", {**entry.input, "Parameters": parameters}, version)


def _has(present: Any, wanted: Any) -> bool:  # noqa: ANN401 -- values of JSON
    """Say whether what is there has all that is wanted; it may have more, and Glue leaves out what is empty."""
    if isinstance(wanted, Mapping):
        return all(_has((present or {}).get(name), value) for name, value in wanted.items())
    if isinstance(wanted, list):
        found = present or []
        return len(found) == len(wanted) and all(map(_has, found, wanted))
    return bool(present == wanted or (not present and not wanted))


def _twice(wanted: Iterable[Entry]) -> Iterator[str]:
    seen = set()
    for entry in wanted:
        if entry.name in seen:
            yield f"two tables of the lake would have the name {entry.name} in the catalog"
        seen.add(entry.name)


def _of_others(lake: str, wanted: Iterable[Entry], there: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for entry in wanted:
        if entry.name in there:
            owner = there[entry.name].get("Parameters", {}).get(MARK)
            if owner is None:
                yield f"{entry.name} is in the catalog already, and Tidemark did not make it"
            elif owner != lake:
                yield f"{entry.name} is in the catalog already, and belongs to the lake at {owner}"
