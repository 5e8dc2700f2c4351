"""The quarantine for a person to read: its counts, its rows, and how each row can be mended."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from tidemark.errors import ConfigError
from tidemark.lake.engine import open_engine
from tidemark.lake.sqltext import Condition, all_of, among, names, number, quoted, select
from tidemark.model import Model, StarTable
from tidemark.objects import Objects
from tidemark.star.quarantine import COLUMNS, DOUBT, open_rows
from tidemark.star.star_log import StarLog
from tidemark.star.star_manifest import count_set_aside


@dataclass(frozen=True)
class SetAside:
    """A row in quarantine; `ordinal` is a fact's surrogate key, and `key` and `row` are the key and the row as JSON."""

    table: str
    batch: int
    ordinal: int | None
    key: str
    op: str
    reason: str
    waits: bool
    captured_at: str
    row: str

    @property
    def values(self) -> dict[str, Any]:
        """Give the values of the row's columns by name."""
        return dict(json.loads(self.row))


@dataclass(frozen=True)
class Heap:
    """The open rows of one star table: how many, how many of them wait, since when, and how many for each reason."""

    table: str
    rows: int
    waiting: int
    oldest_batch: int
    oldest_captured_at: str
    reasons: Mapping[str, int]


def star_tables(model: Model, table: str | None) -> list[StarTable]:
    """Give the star table with this name, or all for None; ConfigError when no table has the name."""
    if table is None:
        return list(model.stars.values())
    if table not in model.stars:
        message = f"there is no star table {table!r}"
        raise ConfigError(message, advice=f"the model has {sorted(model.stars)}")
    return [model.stars[table]]


def list_set_aside(
    tables: Sequence[StarTable],
    processed: Objects,
    *,
    batch: int | None = None,
    ordinals: Sequence[int] = (),
) -> list[SetAside]:
    """List the open rows by table and batch, or only those set aside in one batch or with certain surrogate keys."""
    conditions = [Condition(f"batch = {number(batch)}")] if batch is not None else []
    conditions += [among(quoted("ordinal"), ordinals)] if ordinals else []
    stars = StarLog(processed)
    manifest = stars.newest()
    with open_engine([processed], threads=1) as engine:
        return [
            SetAside(star.name, *row)
            for star in tables
            for row in engine.execute(
                select(
                    "quarantine",
                    "list_rows",
                    columns=names(COLUMNS),
                    rows=open_rows(stars, star, manifest),
                    where=all_of(conditions),
                )
            ).fetchall()
        ]


def list_heaps(tables: Sequence[StarTable], processed: Objects) -> list[Heap]:
    """Summarize the open rows of each star table that has any."""
    stars = StarLog(processed)
    manifest = stars.newest()
    heaps = []
    with open_engine([processed], threads=1) as engine:
        for star in tables:
            if star.name in count_set_aside(manifest):
                rows = open_rows(stars, star, manifest)
                found = engine.execute(select("quarantine", "heaps", rows=rows)).fetchall()
                counts, waiting, batches, moments = zip(*(row[1:] for row in found), strict=True)
                reasons = {row[0]: row[1] for row in found}
                heaps.append(Heap(star.name, sum(counts), sum(waiting), min(batches), min(moments), reasons))
    return heaps


def how_to_mend(row: SetAside) -> tuple[str, ...]:
    """Say what a person can do about a row in quarantine, one sentence for each way."""
    if row.waits:
        return (
            "it comes back by itself in the batch that brings the row it refers to",
            "if that row is in quarantine too, mend it first: tidemark quarantine show",
        )
    if row.reason.startswith(DOUBT):
        correct = "if that value is wrong, correct it in the source"
        correct += "" if row.ordinal is None else f", then tidemark quarantine replay {row.table}"
    elif row.op == "delete":
        correct = "the row is gone from the source, so the value cannot be corrected there"
    elif row.ordinal is None:
        correct = "if the value is wrong, correct it in the source: the next batch takes the row up"
    else:
        correct = (
            "if the value is wrong, correct it in the source: the corrected row arrives as a new version, and this one"
            " stays here, where it harms nothing"
        )
    mend = (
        "if the star should hold it, mend the model (the SELECT, a seed, or the column in warehouse.sql), run tidemark"
        f" init, and then tidemark quarantine replay {row.table}"
    )
    rebuild = (
        "if that gives a column another type, tidemark rebuild star --accept-differences and then tidemark rebuild"
        " warehouse take the place of the replay"
    )
    return (correct, mend, rebuild)
