"""A group of batches in the star: what they come to, computed together and committed at once.

The model's SELECTs run batch by batch, as always, over tables that hold what each batch saw. All else is done for the
group: rows are judged, dated, merged and written. Where batches depend on each other in another way than by their rows
(quarantine, unreadable values, a new year of the calendar), ApartError names one that has to be taken alone.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from tidemark.lake.engine import EVERY, Engine, WorkingTables
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Rows,
    Select,
    Table,
    any_of,
    empty,
    identical,
    names,
    number,
    quoted,
    same,
    select,
    statement,
    union_all,
)
from tidemark.lake.table import Change, LakeTable, open_table
from tidemark.log.group import ApartError, Group
from tidemark.log.keys import has_variants
from tidemark.log.latest import state_as_of
from tidemark.model import Model, SourceTable, StarTable
from tidemark.objects import Objects
from tidemark.star import star_sql
from tidemark.star.facts import open_keys
from tidemark.star.group_history import BATCH, dimension_versions
from tidemark.star.limits import Limit
from tidemark.star.passing import seen_by
from tidemark.star.quarantine import Quarantine
from tidemark.star.star_manifest import star_statistics
from tidemark.star.writer import StarWriter

END = number(2**62)


@dataclass(frozen=True)
class _Dimension:
    """What a group brings to a dimension.

    `steps` has each of its rows that is new or has other values than before; in a dimension that knows deletions also
    each that is gone or back, by `is_deleted`.
    """

    lake: LakeTable
    steps: Table


@dataclass(frozen=True)
class StarGroup:
    """The parts that put a group into a star; `latest` and the star are as of the batch before the group.

    `quarantine` is that of the batch after which the star was last transformed batch by batch. A group changes none of
    it. `writer` writes as the group's last batch.
    """

    engine: Engine
    model: Model
    group: Group
    latest: Objects
    limits: Mapping[str, Mapping[str, Limit]]
    quarantine: Quarantine
    writer: StarWriter
    tables: WorkingTables
    _states: dict[str, Rows] = field(default_factory=dict)

    def put(self) -> None:
        """Put the group into each table of the star: all of it or, when ApartError is raised, nothing.

        Raises:
            ApartError: a batch has to be taken alone.
        """
        dimensions: dict[str, _Dimension] = {}
        changes: list[tuple[LakeTable, Callable[[], Change]]] = []
        if any(star.mirror for star in self.model.stars.values()):
            # A mirror's rows need no SELECT, and they are made one batch at a time.
            raise ApartError(self.group.first)
        if not self.group.entries.keys() >= {name for star in self.model.stars.values() for name in star.reads}:
            raise ApartError(self.group.first)
        for star in (each for each in self.model.dimensions if each.kind == "dimension"):
            with self.engine.working_on(star.name):
                dimension = self._dimension(star)
            if dimension:
                dimensions[star.name] = dimension
                changes.append((dimension.lake, self._merge(star, dimension)))
        for star in self.model.facts:
            with self.engine.working_on(star.name):
                found = self._fact(star, dimensions)
            if found:
                changes.append(found)
        for lake, change in changes:
            self.writer.commit(lake, change())

    def _dimension(self, star: StarTable) -> _Dimension | None:
        batches = self.group.batches_with(star.reads)
        if not batches:
            return None
        if self.quarantine.open_count(star):
            # It is then computed anew from all rows.
            raise ApartError(batches[0])
        is_whole = star.knows_deletions or len(star.reads) > 1
        if not is_whole:
            self._require_readable(star.reads[0])
            changed = select("group", "changes_of_batch", changes=self.group.changes[star.reads[0]])
            self._present(star, {star.reads[0]: select("star", "not_deleted", rows=changed.rows).rows})
        else:
            live_only = star.knows_deletions
            self._present(star, {name: self._state(name, batches, live_only=live_only) for name in star.reads})
        found, made = self._made(star, batches, is_whole=is_whole)
        marks = star_sql.MARK if star.knows_deletions else {}
        fitting = self._fitting(star, found, Select(f"from {made}"), {}, [BATCH, *marks])
        lake = self._opened(star)
        keys = names(star.row_key)
        self._require_none(select("group", "first_repeated", rows=fitting, keys=keys))
        nulls = any_of(Condition(f"{quoted(name)} is null") for name in star.row_key)
        self._require_none(select("group", "first_batch", rows=fitting, where=nulls))
        there = self._newest(star, lake) if star.history else lake.rows()
        parts = {"fields": names([*found, *marks]), "made": fitting, "there": there, "keys": keys}
        return _Dimension(lake, self.tables.of(select("group", "steps", **parts)))

    def _newest(self, star: StarTable, lake: LakeTable) -> Table:
        parts = {"keys": names(star.row_key), "surrogate": quoted(star.key[0])}
        return self.tables.of(select("star", "newest_versions", rows=lake.rows(), **parts))

    def _merge(self, star: StarTable, dimension: _Dimension) -> Callable[[], Change]:
        if star.history:
            return self._add(star, dimension)
        fields = names(name for name in dimension.lake.columns if name not in star_sql.BATCH)
        last = select("group", "last_steps", fields=fields, steps=dimension.steps, keys=names(star.key))
        return lambda: self.writer.merge(dimension.lake, star, self.tables.of(last))

    def _add(self, star: StarTable, dimension: _Dimension) -> Callable[[], Change]:
        """Date and number the steps of a dimension with history, as batch by batch would."""
        there = self._newest(star, dimension.lake)
        parts = (star, dimension.lake, there, dimension.steps)
        rows = dimension_versions(self.engine, self.tables, self.group, self.model, *parts)
        return lambda: self._written(dimension.lake, rows, star_statistics(star))

    def _written(self, lake: LakeTable, rows: Select, statistics: Sequence[str]) -> Change:
        action = self.writer.write(lake, rows, statistics)
        return Change((action,) if action else ())

    def _fact(
        self, star: StarTable, dimensions: Mapping[str, _Dimension]
    ) -> tuple[LakeTable, Callable[[], Change]] | None:
        open_rows = self.quarantine.open_table(star, self.tables) if self.quarantine.open_count(star) else None
        brought = [dimensions[name].steps for name in star.references.values() if name in dimensions]
        if open_rows and self.engine.count(open_rows, Condition("waits")):
            for steps in brought:
                self._require_none(select("group", "first_batch", rows=steps, where=EVERY))
        batches = self.group.batches_with([star.driving])
        if not batches:
            return None
        lake = self._opened(star)
        history = self._history(star, lake, open_rows)
        joined = {name: self._state(name, batches) for name in star.reads if name != star.driving}
        changes = self.group.changes[star.driving]
        own = select("group", "changes_of_batch", changes=changes).rows
        self._present(star, {star.driving: own, **joined})
        found, made = self._made(star, batches, is_whole=False)
        rows = self.tables.of(
            select(
                "group",
                "fact_rows",
                surrogate=quoted(star.key[0]),
                fields=names(found, "s."),
                made=made,
                history=history,
                same=same(star.source_key, "s.", "h."),
            )
        )
        self._require_none(select("group", "first_uneven", changes=changes, rows=rows))
        self._require_none(select("group", "first_repeated", rows=rows, keys=quoted(star.key[0])))
        references = {column: self._keys_of(name, dimensions) for column, name in star.references.items()}
        known = {column: keys for column, keys in references.items() if keys}
        wanted = [star.key[0], *star_sql.HISTORY]
        fitting = self._fitting(star, found, Select(f"from {rows}"), known, wanted)
        self._require_in_time(star, fitting, dimensions)
        made_rows = select("files", "all", rows=fitting)
        return lake, lambda: self._written(lake, made_rows, star_statistics(star))

    def _history(self, star: StarTable, lake: LakeTable, open_rows: Table | None) -> Table:
        """Date the group's versions of a fact."""
        source, changes = self.model.sources[star.driving], self.group.changes[star.driving]
        entry = self.group.entries[star.driving]
        columns = {column.name: column for column in entry.columns}
        if has_variants(source.key, entry.columns):
            for each in self.group.manifests:
                if each.tables[star.driving].inserted and each.tables[star.driving].deleted:
                    # An older Tidemark wrote these two where a key had got another text.
                    raise ApartError(each.batch)
        self._require_readable(star.driving)
        keys = names(star.source_key)
        own = star_sql.dated(changes, star, source, columns, self.model, others=[BATCH])
        dated = self.tables.of(select("group", "in_turn", dated=own.rows, keys=keys))
        if open_rows:
            lying = self.tables.of(open_keys(star, source, columns, open_rows))
            self._require_none(select("group", "first_with_open_key", history=dated, open_keys=lying, keys=keys))
        written = star_sql.keyed(lake.rows(), star, source, columns).rows
        both = same(star.source_key, "d.", "g.")
        return self.tables.of(select("group", "versions", written=written, dated=dated, keys=keys, same=both))

    def _require_in_time(self, star: StarTable, rows: Table, dimensions: Mapping[str, _Dimension]) -> None:
        """Require that no row refers to what a later batch brings, or to a year that the calendar lacks."""
        for column, name in star.references.items():
            referred = self.model.stars[name]
            key = quoted(referred.row_key[0])
            if referred.kind == "calendar":
                parts = {"column": quoted(column), "day": key, "calendar": self._opened(referred).rows()}
                self._require_none(select("group", "first_in_other_year", rows=rows, **parts))
            elif name in dimensions:
                steps = dimensions[name].steps
                early = select("group", "first_too_early", rows=rows, steps=steps, key=key, column=quoted(column))
                self._require_none(early)

    def _keys_of(self, name: str, dimensions: Mapping[str, _Dimension]) -> Select | None:
        """Write the SELECT of a dimension's keys after the group; None for the calendar, whose years are compared."""
        star = self.model.stars[name]
        if star.kind == "calendar":
            return None
        keys = names(star.row_key)
        there = select("files", "fields", fields=keys, rows=self._opened(star).rows())
        if name not in dimensions:
            return there
        return union_all([there, select("files", "fields", fields=keys, rows=dimensions[name].steps)])

    def _made(self, star: StarTable, batches: Iterable[int], *, is_whole: bool) -> tuple[Mapping[str, str], Table]:
        """Run a star table's SELECT as each batch would, over the views that are there.

        Args:
            star: the star table.
            batches: the batches.
            is_whole: whether each run yields the whole table: then only rows that differ from before are kept, and of a
                dimension that knows deletions also those that are gone.

        Returns:
            The columns that the SELECT yields, and its rows with their batch.
        """
        made = Select(star.sql)
        batch = self.group.first - 1
        try:
            found = self.engine.describe(made)
            nothing = "marked_of_nothing" if star.knows_deletions else "made_of_nothing"
            into = self.tables.of(select("group", nothing, made=made.rows))
            self.engine.execute(statement("group", "set_batch", batch=number(batch)))
            before = self.tables.of(made) if is_whole else into
            for batch in batches:
                self.engine.execute(statement("group", "set_batch", batch=number(batch)))
                parts = {"target": into, "batch": number(batch), "made": made.rows}
                if not is_whole:
                    self.engine.execute(statement("group", "make", **parts))
                    continue
                identity = identical(found, "s.", "p.")
                if star.knows_deletions:
                    now = self.tables.of(made)
                    both = same(star.row_key, "s.", "p.")
                    steps = {
                        "now": now,
                        "before": before,
                        "identical": identity,
                        "same": both,
                        "fields": names(found, "p."),
                    }
                    self.engine.execute(statement("group", "make_steps", target=into, batch=number(batch), **steps))
                    before = now
                    continue
                self.engine.execute(statement("group", "make_what_differs", before=before, identical=identity, **parts))
                changed = {"before": before, "made": into, "batch": number(batch), "same": same(star.key, "m.", "p.")}
                self.engine.execute(statement("group", "forget_changed", **changed))
        except (duckdb.BinderException, duckdb.ConversionException, duckdb.OutOfRangeException) as exc:
            raise ApartError(max(batch, self.group.first)) from exc
        return found, into

    def _fitting(
        self,
        star: StarTable,
        found: Mapping[str, str],
        made: Select,
        references: Mapping[str, Select],
        others: Sequence[str],
    ) -> Table:
        """Judge rows and convert them into the lake's types; each of them has to fit."""
        limits = self.limits[star.name]
        judged = self.tables.of(star_sql.judged(made, found, limits, references))
        wrong = Condition("_tidemark_wrong is not null or _tidemark_missing is not null")
        self._require_none(select("group", "first_batch", rows=judged, where=wrong))
        return self.tables.of(star_sql.fitting(judged, found, limits, others))

    def _present(self, star: StarTable, rows: Mapping[str, Rows]) -> None:
        columns = {name: self.group.entries[name].columns for name in star.reads}
        seen = seen_by(self.engine, star, self.model.sources, columns)
        for name, each in rows.items():
            self.engine.view(name, star_sql.typed(each, seen[name]))

    def _state(self, name: str, batches: Sequence[int], *, live_only: bool = False) -> Rows:
        """Give the rows of a source table that a SELECT sees in the batch that is set, or only those that are there."""
        source, entry = self.model.sources[name], self.group.entries[name]
        fields = [column.name for column in entry.columns]
        if name not in self._states:
            state = state_as_of(self.latest, source, self.group.first - 1, entry)
            there = state.rows if state else empty({column.name: column.log_type for column in entry.columns})
            self._states[name] = self._all_states(name, source, fields, there)
        rows = self._states[name]
        reason = star_sql.unreadable(entry.columns)
        if reason and self.engine.count(rows, Condition(f"{reason} is not null")):
            # Each row that is made with it has to be found, which takes a second run of the SELECT.
            raise ApartError(batches[0])
        return select(
            "group", "live_in_batch" if live_only else "state_in_batch", fields=names(fields), states=rows
        ).rows

    def _all_states(self, name: str, source: SourceTable, fields: Sequence[str], there: Rows) -> Table:
        changes = self.group.changes.get(name)
        if changes is None:
            changes = self.tables.of(select("group", "no_changes", fields=names(fields), there=there))
        elif has_variants(source.key, self.group.entries[name].columns):
            raise ApartError(self.group.batches_with([name])[0])
        keys = names(source.key)
        parts = {"fields": names(fields), "there": there, "changes": changes, "keys": keys, "last": END}
        return self.tables.of(select("group", "states", **parts))

    def _opened(self, star: StarTable) -> LakeTable:
        lake = open_table(self.writer.processed, star.path)
        if lake is None:
            raise ApartError(self.group.first)
        return lake

    def _require_readable(self, name: str) -> None:
        reason: Expression | None = star_sql.unreadable(self.group.entries[name].columns)
        if reason:
            unread = Condition(f"{reason} is not null")
            self._require_none(select("group", "first_batch", rows=self.group.changes[name], where=unread))

    def _require_none(self, first: Select) -> None:
        """Raise ApartError if a SELECT yields a batch."""
        batch = self.engine.value(first)
        if batch is not None:
            raise ApartError(int(str(batch)))
