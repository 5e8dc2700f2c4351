"""The tables of docs/types.md: what became of each type, as the pipeline over every_type left it."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from tests.support.mirror import types_in_warehouse
from tests.support.pipeline import Rig, an_engine_for
from tests.support.written_docs import span
from tidemark.lake.sqltext import Select, quoted
from tidemark.lake.table import open_table
from tidemark.log.latest import open_latest_as_of
from tidemark.log.reading import is_lost
from tidemark.star.star_sql import typed

EVERY, ARRAYS = "public.every_type", "public.every_array"
KINDS = {bool: "`true`, `false`", int: "number", str: "text"}
MOST_SHOWN = 4


@dataclass(frozen=True)
class KeyFacts:
    """What became of a type as a key: why it cannot be one, two texts of equal values, and how many keys ended."""

    refusal: str | None
    equal_texts: list[str] | None
    ended: int
    warehouse: str

    @property
    def is_one_key(self) -> bool:
        """Say whether a key whose text became that of an equal value is still the same."""
        return self.equal_texts is not None and self.ended == 1

    @property
    def words(self) -> str:
        """Say it in a cell."""
        if self.refusal:
            return "no: PostgreSQL has no order of it"
        if not self.equal_texts:
            return f"yes, as `{self.warehouse}`"
        first, second = map(span, self.equal_texts)
        told = "are one key" if self.is_one_key else "are two keys"
        return f"yes, as `{self.warehouse}`; {first} and {second} {told}"


def key_facts(rig: Rig) -> dict[str, KeyFacts]:
    """Give what became of each type as a key, by the name of its table."""
    facts = {}
    for name, refusal, equal_texts in rig.source("select type, refusal, equal_texts from as_key"):
        ended, kind = 0, ""
        if not refusal:
            history = f'key."{name.replace(chr(34), chr(34) * 2)}_history"'
            ended = rig.warehouse(f"select count(*) from {history} where is_deleted")[0][0]
            kind = types_in_warehouse(rig, "key", f"{name}_history")["k"]
        facts[name] = KeyFacts(refusal, equal_texts, ended, kind)
    return facts


def type_rows(rig: Rig, prepared: Rig, facts: Mapping[str, KeyFacts]) -> Iterator[list[str]]:
    """Write the rows of the table of types; `prepared` has a warehouse with the types of the source's users."""
    seen, plain = _seen(rig, EVERY), types_in_warehouse(rig, "public", "every_type")
    with_types = types_in_warehouse(prepared, "public", "every_type")
    lake = open_table(rig.processed, f"mirror/{EVERY}")
    assert lake is not None
    for name, each in seen.items():
        warehouse = f"`{plain[name]}`"
        if with_types[name] != plain[name]:
            warehouse = f"`{with_types[name]}`; `{plain[name]}` where that is missing"
        as_key = facts[name].words if name in facts else ""
        cells = (each.text, each.log, f"`{each.latest}`", f"`{lake.columns[name]}`", each.select)
        yield [name, *cells, warehouse, as_key]


def array_rows(rig: Rig) -> Iterator[list[str]]:
    """Write the rows of the table of arrays."""
    types = types_in_warehouse(rig, "public", "every_array")
    for name, each in _seen(rig, ARRAYS).items():
        yield [name, each.text, f"`{types[name]}`"]


@dataclass(frozen=True)
class _Seen:
    """A column on its way: a text of it, its kind in the log, its type in latest, and what a SELECT sees of it."""

    text: str
    log: str
    latest: str
    select: str


def _seen(rig: Rig, table: str) -> dict[str, _Seen]:
    first = rig.manifests()[0]
    entry, mirror = first.tables[table], rig.model.following(first.mirrored)
    lines = [json.loads(line) for each in entry.objects for line in rig.ingestion.get(each.key).splitlines()]
    latest = open_latest_as_of(rig.ingestion, mirror.sources[table], first.batch)
    assert latest is not None
    with an_engine_for(rig.ingestion) as engine:
        selected = engine.describe(typed(latest.rows, entry.columns))
        found = {}
        for column in entry.columns:
            if column.name == "id":
                continue
            values = [line[column.name] for line in lines if line.get(column.name) is not None]
            query = f"select {quoted(column.name)} from {latest.rows} where {quoted(column.name)} is not null"
            lost = [row[0] for row in engine.execute(Select(f"{query} and {is_lost(column)} order by id")).fetchall()]
            kinds = {KINDS[type(value)] for value in values}
            found[column.name] = _Seen(
                text=next((span(_as_json(value)) for value in values if str(value).strip()), ""),
                log=", ".join(sorted(kinds)),
                latest=latest.lake.columns[column.name],
                select=f"`{selected[column.name]}`{_without(lost)}",
            )
    return found


def _as_json(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _without(lost: list[str]) -> str:
    if not lost:
        return ""
    more = f" and {len(lost) - MOST_SHOWN} more" if len(lost) > MOST_SHOWN else ""
    return f"; unreadable: {', '.join(map(span, lost[:MOST_SHOWN]))}{more}"
