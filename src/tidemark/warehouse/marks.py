"""Marks: what a ledger row records of each table, so that a table which somebody changed or replaced is noticed.

A mark says which table it was (its oid, which VACUUM FULL, CLUSTER, ALTER TABLE and pg_upgrade keep), whether it had
rows, and for a fact its last surrogate key. It costs no scan. It does not notice a change that leaves all of this as it
was, such as one dimension row that is gone: `tidemark verify` compares every row.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import psycopg
from psycopg import sql
from psycopg.rows import dict_row

from tidemark.errors import StateError
from tidemark.model import StarTable
from tidemark.postgres.queries import query
from tidemark.postgres.session import LOCK_TIMEOUT, Session

LEDGER = "tidemark.batch"
MEND = "tidemark rebuild warehouse compares the tables with the star and puts tables and ledger right"
SEARCH_PATH = "see that the search_path of the URL, the role and the database is the one that you mean; if it is, "


@dataclass(frozen=True)
class Mark:
    """One table: its oid, its name with its schema, and how far its rows go; `is_empty` is None if nobody looked.

    A fact's last version has the surrogate key `last_key` and is of batch `last_batch`.
    """

    oid: int
    place: str
    is_empty: bool | None = None
    last_key: int | None = None
    last_batch: int | None = None


@dataclass(frozen=True)
class Misfit:
    """One difference between tables and ledger; `is_misplaced` says that the search path may be the wrong one."""

    text: str
    is_misplaced: bool = False


@dataclass(frozen=True)
class LedgerEnd:
    """How many rows the ledger has, its last batch (0 for none), the marks that batch left, and of how many pipelines.

    `filled` names the tables that some batch brought rows of; it is asked for where there are no marks. `is_copy` says
    that the ledger itself has another oid than its mark says. Then a dump was restored, and no oid means anything.
    """

    rows: int = 0
    batch: int = 0
    marks: Mapping[str, Mark] = field(default_factory=dict)
    pipelines: int = 1
    filled: frozenset[str] = frozenset()
    is_copy: bool = False

    def is_another(self, name: str, table: Mark | None) -> bool:
        """Say whether a table is not the one that the last batch was loaded into."""
        mark = self.marks.get(name)
        return not self.is_copy and mark is not None and table is not None and mark.oid != table.oid

    def had_rows(self, name: str) -> bool:
        """Say whether the last batch left rows in a table."""
        mark = self.marks.get(name)
        return name in self.filled if mark is None else not mark.is_empty


def read_marks(connection: psycopg.Connection, stars: Sequence[StarTable]) -> dict[str, Mark]:
    """Give the present marks of the tables that are there, and of the ledger, which stands for the whole database."""
    places = _places(connection, stars)
    ends = _ends(connection, [star for star in stars if star.name in places])
    return places | {name: Mark(places[name].oid, places[name].place, *end) for name, end in ends.items()}


def as_json(marks: Mapping[str, Mark]) -> dict[str, dict[str, Any]]:
    """Give marks as a ledger row holds them."""
    return {name: asdict(mark) for name, mark in marks.items()}


def misfits(connection: psycopg.Connection, stars: Sequence[StarTable]) -> tuple[Misfit, ...]:
    """Say how tables and ledger differ; nothing if they belong together.

    The caller's transaction must read all of it in one snapshot, or keep loads away.
    """
    places = _places(connection, stars)
    ledger = _ledger_end(connection, places)
    ends = _ends(
        connection,
        [each for each in stars if each.name in places and not ledger.is_another(each.name, places[each.name])],
    )
    found = places | {name: Mark(places[name].oid, places[name].place, *end) for name, end in ends.items()}
    return tuple(differences(ledger, found, [star.name for star in stars], _moved(connection, ledger, places)))


def require_fit(session: Session, stars: Sequence[StarTable], what: str, lock_timeout: str = LOCK_TIMEOUT) -> None:
    """Raise StateError where tables and ledger do not belong together."""
    # In one snapshot: a load that commits meanwhile changes the tables and the ledger together.
    with session.one_snapshot(lock_timeout):
        found = misfits(session, stars)
    if found:
        raise misfit_error(found, what)


def require_path(connection: psycopg.Connection, stars: Sequence[StarTable], what: str) -> None:
    """Raise StateError where the search path leads past tables of the ledger, and another one would lead to them."""
    # The tables are not read: `tidemark init` comes this way before it adds a column that was lost.
    with connection.transaction():
        places = _places(connection, stars)
        ledger = _ledger_end(connection, places)
        all_of = differences(ledger, places, [star.name for star in stars], _moved(connection, ledger, places))
        found = [each for each in all_of if each.is_misplaced]
    if found:
        raise misfit_error(found, what)


def misfit_error(found: Sequence[Misfit], what: str) -> StateError:
    """Make the error of a warehouse whose tables and ledger do not belong together."""
    advice = f"{SEARCH_PATH}{MEND}" if any(each.is_misplaced for each in found) else MEND
    texts = "; ".join(each.text for each in found)
    return StateError(f"tables and ledger of {what} do not belong together: {texts}", advice=advice)


def differences(
    ledger: LedgerEnd, found: Mapping[str, Mark], names: Sequence[str], moved: Mapping[str, str]
) -> Iterator[Misfit]:
    """Compare what the ledger says of tables with what they are now.

    Args:
        ledger: the end of the ledger.
        found: the present marks of the tables that are there, and of the ledger.
        names: the model's tables.
        moved: where the tables of the ledger's marks are now, if the search path does not lead to them.
    """
    if ledger.rows != ledger.batch:
        yield Misfit(f"the ledger ends with batch {ledger.batch} and has {ledger.rows} rows")
    if ledger.pipelines > 1:
        yield Misfit(f"the ledger has batches of {ledger.pipelines} pipelines")
    for name in names:
        table = found.get(name)
        if name in moved:
            finds = f"finds {table.place}" if table else "finds no table of that name"
            text = f"{name} was {moved[name]} for batch {ledger.batch}, and the search_path {finds}"
            yield Misfit(text, is_misplaced=True)
        elif table is None:
            if name in ledger.marks or ledger.had_rows(name):
                yield Misfit(f"{name} is gone")
        elif text := _difference(name, ledger, table):
            yield Misfit(text)


def _difference(name: str, ledger: LedgerEnd, table: Mark) -> str:
    mark = ledger.marks.get(name)
    if ledger.is_another(name, table):
        return f"{name} is another table than the one that batch {ledger.batch} was loaded into"
    if ledger.had_rows(name) and table.is_empty:
        return f"{name} is empty, and batch {ledger.batch} left rows in it"
    if table.last_batch is not None and table.last_batch > ledger.batch:
        return f"{name} has rows of batch {table.last_batch}, and the ledger ends with batch {ledger.batch}"
    if mark and mark.last_key != table.last_key:
        return f"{name} ends with version {table.last_key}, and batch {ledger.batch} left version {mark.last_key}"
    return ""


def _ledger_end(connection: psycopg.Connection, places: Mapping[str, Mark]) -> LedgerEnd:
    with connection.cursor(row_factory=dict_row) as cursor:
        row = cursor.execute(query("marks", "ledger_end")).fetchone() or {}
        if not row.get("batch"):
            return LedgerEnd()
        marks = {name: Mark(**mark) for name, mark in (row["tables"] or {}).items()}
        filled = frozenset[str]()
        if not marks:
            filled = frozenset(each["name"] for each in cursor.execute(query("marks", "filled")))
    is_copy = bool(marks) and marks[LEDGER].oid != places[LEDGER].oid
    return LedgerEnd(row["row_count"], row["batch"], marks, row["pipelines"], filled, is_copy)


def _places(connection: psycopg.Connection, stars: Sequence[StarTable]) -> dict[str, Mark]:
    # The ledger is named with its schema; the search path finds all other tables.
    references = {LEDGER: LEDGER} | {star.name: sql.Identifier(*star.place).as_string() for star in stars}
    parameters = {"names": list(references), "references": list(references.values())}
    rows = connection.execute(query("marks", "places"), parameters).fetchall()
    return {name: Mark(oid, place) for name, oid, place in rows}


def _ends(connection: psycopg.Connection, stars: Sequence[StarTable]) -> dict[str, tuple[bool, int | None, int | None]]:
    parts = [
        query(
            "marks",
            # The versions of a mirror have no numbers in the warehouse.
            "end_of_versions" if star.is_versioned and not star.mirror else "end_of_dimension",
            star=sql.Literal(star.name),
            table=sql.Identifier(*star.place),
            surrogate=sql.Identifier(star.key[0]),
        )
        for star in stars
    ]
    if not parts:
        return {}
    rows = connection.execute(sql.SQL(" union all ").join(parts)).fetchall()
    return {name: (is_empty, last_key, last_batch) for name, is_empty, last_key, last_batch in rows}


def _moved(connection: psycopg.Connection, ledger: LedgerEnd, found: Mapping[str, Mark]) -> dict[str, str]:
    """Find the tables of the marks that are still there, under their name, where the search path does not lead."""
    lost = [name for name in ledger.marks if name not in found or ledger.is_another(name, found[name])]
    if ledger.is_copy or not lost:
        return {}
    parameters = {"names": lost, "oids": [ledger.marks[name].oid for name in lost]}
    return dict(connection.execute(query("marks", "places_of_oids"), parameters).fetchall())
