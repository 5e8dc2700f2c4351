"""A fact's rows in one batch: the driving table's changes, dated, judged, and numbered by their place in the log."""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from deltalake.transaction import AddAction

from tidemark.errors import DataError
from tidemark.lake.engine import ROW_GROUP_ROWS, Engine, WorkingTables
from tidemark.lake.files import batch_of, local_rows, rows_of
from tidemark.lake.sqltext import (
    Condition,
    Expression,
    Rows,
    Select,
    Table,
    among,
    any_of,
    listed,
    named_as,
    number,
    quoted,
    select,
    statement,
    text,
    union_all,
)
from tidemark.lake.table import Change, LakeTable
from tidemark.log.columns import Column
from tidemark.log.keys import canonical, has_variants
from tidemark.log.reading import read_as
from tidemark.model import SourceTable, StarTable
from tidemark.star import star_sql, tombstones
from tidemark.star.batch import Batch, Outcome
from tidemark.star.references import dangling, keys_of_dimensions, with_missing
from tidemark.star.selects import yielded_by
from tidemark.star.sources import SourceState
from tidemark.star.unreadable_values import present_and_doubt, sample_of

logger = logging.getLogger(__name__)
# Of fewer rows the threads wait longer for each other; each joins with its version in memory, some 200 bytes.
ROWS_AT_ONCE = 6 * ROW_GROUP_ROWS


@dataclass(frozen=True)
class _Fact:
    """One fact in one batch.

    `yielded` has the columns of its SELECT, `kept` the files that the batch leaves alone, `aside` the rows that the
    star cannot take. `open_rows` has the rows that were open in quarantine before this batch, `open_keys` their
    ordinals and source keys. Both are None when no row was open.
    """

    batch: Batch
    star: StarTable
    table: SourceTable
    state: SourceState
    lake: LakeTable
    yielded: Mapping[str, str]
    references: Mapping[str, Select]
    kept: Sequence[str]
    aside: Table
    open_rows: Table | None
    open_keys: Table | None

    @property
    def columns(self) -> dict[str, Column]:
        """Give the driving table's columns by name."""
        return _columns(self.state)

    @property
    def may_repeat(self) -> bool:
        """Say whether two of the batch's changes may be of one key: see `in_turns`."""
        return may_repeat(self.table, self.state)


def put_fact(batch: Batch, star: StarTable, dimensions: Mapping[str, Outcome]) -> Outcome:
    """Add a batch's versions to a fact, and replace the files of an earlier attempt at this batch.

    Args:
        batch: the batch.
        star: the fact.
        dimensions: what this batch did to the dimensions.

    Raises:
        DataError: the model's SELECT does not yield exactly one row for each change.
    """
    with batch.engine.working_tables() as tables:
        batch.sources.describe(star)
        yielded = yielded_by(batch.engine, batch.model, star)
        lake = batch.open(star, {star.key[0]: "BIGINT"}, yielded, star_sql.HISTORY)
        own = [file for file in lake.files if batch_of(file) == batch.number]
        table, state = batch.model.sources[star.driving], batch.sources.states[star.driving]
        open_rows = batch.quarantine.open_table(star, tables) if batch.quarantine.open_count(star) else None
        fact = _Fact(
            batch,
            star,
            table,
            state,
            lake,
            yielded,
            keys_of_dimensions(batch.model, star, dimensions),
            [file for file in lake.files if file not in own],
            batch.quarantine.nothing_aside(tables),
            open_rows,
            tables.of(open_keys(star, table, _columns(state), open_rows)) if open_rows else None,
        )
        added, repeated = _put_changes(fact)
        returned, released, stood = _retry(fact, tables, dimensions, added)
        ended = _end_deleted(fact, tables, added, returned)
        years = frozenset(_years(fact, added + returned))
        set_aside = batch.quarantine.set_aside(star, fact.aside)
        change = Change((*added, *returned, *ended), tuple(own))
        outcome = batch.outcome(star, batch.writer.commit(lake, change), [change], set_aside, released, years)
        entry = replace(outcome.entry, ended=sum(map(_rows, ended)) - stood, repeated=repeated)
        return replace(outcome, entry=entry)


def _put_changes(fact: _Fact) -> tuple[list[AddAction], bool]:
    """Write the batch's changes as versions, in one or more data files for each object of the log.

    Returns:
        The files, and whether a key has two of these versions.
    """
    added: list[AddAction] = []
    repeated = False
    ordinal = fact.state.entry.first_ordinal
    moment = Expression(f"timestamp {fact.batch.captured_at}")
    for part in fact.state.parts:
        numbered = select("star", "numbered", first=number(ordinal), captured_at=moment, rows=part.rows)
        before = len(added)
        with fact.batch.engine.working_tables() as tables:
            turns = in_turns(fact.batch.engine, tables, fact.table, fact.state, numbered.rows)
            repeated = repeated or len(turns) > 1
            # A SELECT that joins other tables reads these anew for each span, so it takes the part at once.
            size = ROWS_AT_ONCE if set(fact.star.reads) == {fact.star.driving} else part.source.rows
            for rows in (span for turn in turns for span in spans(turn, part.source.rows, size)):
                action = _take(fact, rows, added if fact.may_repeat else ())
                added += [action] if action else []
        refused = fact.batch.engine.count(fact.aside, Condition(f"ordinal >= {ordinal}"))
        _require_all(fact, sum(map(_rows, added[before:])) + refused, part.source.rows, part.source.key)
        _require_once(fact, added[before:], ordinal, part.source.rows, part.source.key)
        ordinal += part.source.rows
    return added, repeated


def may_repeat(table: SourceTable, state: SourceState) -> bool:
    """Say whether two of a batch's changes may be of one key: see `in_turns`."""
    entry = state.entry
    return bool(entry.inserted and entry.deleted) and has_variants(table.key, entry.columns)


def in_turns(
    engine: Engine, tables: WorkingTables, table: SourceTable, state: SourceState, part: Rows
) -> Sequence[Rows]:
    """Give a part as it is, or first the deletions and then the insertions of keys that are equal for the source.

    An older Tidemark wrote these two where a key had got another text. Now they are one update.
    """
    if not may_repeat(table, state):
        return [part]
    columns = _columns(state)
    keys = listed(canonical(columns[name], quoted(name)) for name in table.key)
    turns = tables.of(select("star", "in_turns", rows=part, keys=keys))
    if not engine.count(turns, Condition("_tidemark_turn > 1")):
        return [part]
    return [select("star", "turn", turns=turns, turn=number(turn)).rows for turn in (1, 2)]


def spans(part: Rows, rows: int, size: int = ROWS_AT_ONCE) -> Iterator[Rows]:
    """Cut a part into spans of `size` rows: they are joined with their own versions, which are held in memory."""
    if rows <= size:
        yield part
        return
    for first in range(0, rows, size):
        yield select("star", "span", rows=part, first=number(first), beyond=number(first + size)).rows


def _take(fact: _Fact, part: Rows, before: Iterable[AddAction]) -> AddAction | None:
    """Write the rows of a part that the star can take, and note the others; `before` has this batch's other files."""
    batch, star, limits = fact.batch, fact.star, fact.batch.limits[fact.star.name]
    unreadable = star_sql.unreadable(batch.sources.seen_by(star)[star.driving])
    readable = select("star", "without_unreadable", rows=part, reason=unreadable).rows if unreadable else part
    written = fact.lake.rows([*fact.kept, *(action.path for action in before)])
    beside = star_sql.neighbours(written, star, part, fact.table, fact.columns, fact.open_keys)
    history = star_sql.versions(part, star, fact.table, fact.columns, batch.model, beside.rows)

    def judged(made: Select) -> Select:
        rows = star_sql.fact_rows(star, made, history, batch.number, list(fact.yielded))
        return star_sql.judged(rows, fact.yielded, limits, {})

    joined = [name for name in star.reads if name != star.driving]
    with batch.engine.working_tables() as tables:
        instead, sample = {star.driving: readable}, sample_of(batch.sources, star, joined, {})
        rows = present_and_doubt(batch.sources, tables, star, instead, judged, star.source_key, sample)
        others = [star.key[0], *star_sql.HISTORY]
        file = batch.writer.write_local(fact.lake, star_sql.fitting(rows.rows, fact.yielded, limits, others))
        gaps = dangling(batch.engine, tables, local_rows(fact.lake, file), fact.references)
        if gaps:
            file.unlink()
            rows = with_missing(rows.rows, fact.yielded, limits, fact.references, gaps)
            file = batch.writer.write_local(fact.lake, star_sql.fitting(rows.rows, fact.yielded, limits, others))
        action = batch.writer.add(fact.lake, file, [star.key[0], "batch_id"])
        if _rows(action) < batch.engine.count(part):
            refused = [select("quarantine", "judged_wrong", surrogate=quoted(star.key[0]), rows=rows.rows)]
            if unreadable:
                refused.append(select("quarantine", "unreadable_changes", reason=unreadable, part=part))
            _note(fact, part, union_all(refused))
    return action


def _note(fact: _Fact, part: Rows, refused: Select) -> None:
    """Note changes of a part for quarantine; `refused` yields their `ordinal`, `reason` and `waits`."""
    columns = [column.name for column in fact.state.entry.columns]
    fact.batch.engine.execute(
        statement(
            "quarantine",
            "refused_changes",
            aside=fact.aside,
            key=star_sql.packed(fact.table.key, "p."),
            row=star_sql.packed(columns, "p."),
            part=part,
            refused=refused.rows,
        )
    )


def open_keys(star: StarTable, table: SourceTable, columns: Mapping[str, Column], open_rows: Table) -> Select:
    """Write the SELECT of `_tidemark_ordinal` and source key of a fact's open rows."""
    key = zip(table.key, star.source_key, strict=True)
    keys = (named_as(read_as(columns[name], Expression(f"(key->>{text(name)})")), alias) for name, alias in key)
    return select("quarantine", "open_keys", keys=listed(keys), open_rows=open_rows)


def _retry(
    fact: _Fact, tables: WorkingTables, dimensions: Mapping[str, Outcome], before: Sequence[AddAction]
) -> tuple[list[AddAction], int, int]:
    """Take up again the open rows that this batch names, and those that wait, if the batch may bring what they need.

    Returns:
        The files that were written, the number of rows released from quarantine, and how many of these had their
        version already: the tombstones of deletions.
    """
    batch, star = fact.batch, fact.star
    wanted = _retried(fact, tables, dimensions)
    if wanted is None or not batch.engine.count(wanted):
        return [], 0, 0
    stands = tombstones.has_tombstone(star, fact.lake.rows(fact.kept))
    retried = tables.of(select("quarantine", "without", rows=wanted, where=stands))
    added = _take_turns(fact, retried, before)
    # A row that is refused again for the same reason stays open as it is.
    staying = tables.of(select("quarantine", "staying_changes", retried=retried, aside=fact.aside))
    batch.engine.execute(statement("quarantine", "drop_staying_changes", aside=fact.aside, staying=staying))
    released = batch.quarantine.release(star, select("quarantine", "leaving_changes", retried=wanted, staying=staying))
    return added, released, batch.engine.count(wanted, stands)


def _take_turns(fact: _Fact, retried: Table, before: Sequence[AddAction]) -> list[AddAction]:
    """Take rows of quarantine up again, one version of each key in a turn, so that each finds those before it."""
    batch, star = fact.batch, fact.star
    added: list[AddAction] = []
    total = batch.engine.count(retried)
    for turn in range(1, int(str(batch.engine.value(select("quarantine", "last_turn", retried=retried)))) + 1):
        part = select("quarantine", "turn", retried=retried, where=Condition(f"_tidemark_turn = {turn}"))
        action = _take(fact, part.rows, [*before, *added])
        added += [action] if action else []
    taken, lay_before = sum(map(_rows, added)), Condition(f"ordinal < {fact.state.entry.first_ordinal}")
    if taken + batch.engine.count(fact.aside, lay_before) < total:
        # A row that its SELECT joins may have been deleted since, and then the SELECT yields no row.
        part = select("quarantine", "turn", retried=retried, where=Condition("true"))
        written = fact.lake.rows([action.path for action in added])
        missing = {"retried": retried, "surrogate": quoted(star.key[0]), "written": written, "aside": fact.aside}
        _note(fact, part.rows, select("quarantine", "changes_without_row", **missing))
    _require_all(fact, taken + batch.engine.count(fact.aside, lay_before), total, "quarantine")
    logger.info("%s: %d of %d rows came back from quarantine in batch %d", star.name, taken, total, batch.number)
    return added


def _retried(fact: _Fact, tables: WorkingTables, dimensions: Mapping[str, Outcome]) -> Table | None:
    """Make the table of the open rows to take up again; None when no row is open."""
    if fact.open_rows is None:
        return None
    brings = any(dimensions[name].entry.rows for name in fact.star.references.values() if name in dimensions)
    named = among(quoted("ordinal"), map(int, fact.batch.manifest.replay.get(fact.star.name, ())))
    wanted = any_of([named, Condition("waits")] if brings else [named])
    return tables.of(tombstones.parsed(fact.open_rows, fact.table, fact.columns, wanted))


def _end_deleted(
    fact: _Fact, tables: WorkingTables, added: Sequence[AddAction], returned: Sequence[AddAction]
) -> list[AddAction]:
    """Write a tombstone for each refused deletion whose row is live in the fact, with the row's last good values."""
    batch, star = fact.batch, fact.star
    lying = [rows for rows in (fact.aside, fact.open_rows) if rows]
    if not any(batch.engine.count(rows, tombstones.DELETION) for rows in lying):
        return []
    written = fact.lake.rows([*fact.kept, *(action.path for action in (*added, *returned))])
    deletions = tables.of(
        tombstones.without_tombstone(fact.aside, fact.open_rows, star, fact.table, fact.columns, written)
    )
    parts = (deletions, written, fact.open_keys, fact.lake.columns, batch.number)
    made = tombstones.tombstones(star, fact.table, fact.columns, batch.model, *parts)
    action = batch.writer.write(fact.lake, made, [star.key[0], "batch_id"])
    return [action] if action else []


def _years(fact: _Fact, added: Sequence[AddAction]) -> Iterable[int]:
    """Give the years in the calendar's columns of the rows in these files."""
    calendars = {each.name for each in fact.batch.model.dimensions if each.kind == "calendar"}
    columns = [column for column, dimension in fact.star.references.items() if dimension in calendars]
    if not (added and columns):
        return ()
    rows = fact.lake.rows([action.path for action in added])
    found = select("star", "years", years=star_sql.years(columns), rows=rows)
    return [row[0] for row in fact.batch.engine.execute(found).fetchall()]


def _columns(state: SourceState) -> dict[str, Column]:
    return {column.name: column for column in state.entry.columns}


def _rows(action: AddAction | None) -> int:
    return rows_of(action) if action else 0


def _require_all(fact: _Fact, found: int, expected: int, what: str) -> None:
    if found != expected:
        message = f"{fact.star.name} has {found} rows for {expected} changes in {what}: expected one for each"
        advice = f"mend {fact.star.path}.sql: it drops or repeats rows"
        raise DataError(message, advice=advice, table=fact.star.name)


def _require_once(fact: _Fact, added: Sequence[AddAction], first: int, rows: int, what: str) -> None:
    """Raise DataError if one of so many changes has two rows among those written and set aside, and another has none.

    To find two of the same takes memory that grows with the rows, so first a sum of hashes says whether there are any.
    """
    parts = {"surrogate": quoted(fact.star.key[0]), "written": fact.lake.rows([action.path for action in added])}
    found = select("star", "surrogates", aside=fact.aside, first=number(first), **parts).rows
    span = {"first": number(first), "beyond": number(first + rows)}
    if fact.batch.engine.value(select("star", "is_each_once", rows=found, **span)):
        return
    ordinal = quoted("_tidemark_ordinal")
    twice = fact.batch.engine.value(select("star", "repeated", key=ordinal, rows=found, keys=ordinal))
    if twice is not None:
        message = f"{fact.star.name} has several rows for change {twice} in {what}: expected one for each change"
        advice = f"mend {fact.star.path}.sql: it gives one {', '.join(fact.star.source_key)} to several rows"
        raise DataError(message, advice=advice, table=fact.star.name)
