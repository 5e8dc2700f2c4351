"""A first star: each table of a source becomes a fact or a dimension, with plain names and references."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from tidemark.log.columns import Column
from tidemark.modelling.catalogue import Catalogue, Place, Relation
from tidemark.modelling.guesses import Role, Time, created_of, days_of, likely_references, roles_of, updated_of
from tidemark.modelling.naming import LONGEST_TABLE, free, plain
from tidemark.star.star_sql import HISTORY

CALENDAR, DAY = "dim_date", "date_id"
OWN = (*HISTORY, "valid_to")


@dataclass(frozen=True)
class Yielded:
    """A column of a star table: where it comes from; `is_day` if it is the day of that."""

    name: str
    source: Column
    is_day: bool = False


@dataclass(frozen=True)
class Drafted:
    """A star table that is made of one source table.

    `references` are columns with their dimensions, `unreferenced` foreign keys that cannot be references, each with the
    reason.
    """

    name: str
    relation: Relation
    role: Role
    columns: tuple[Yielded, ...]
    created: Time | None
    updated: Time | None
    surrogate: str = ""
    references: Mapping[str, str] | None = None
    unreferenced: tuple[str, ...] = ()

    @property
    def key(self) -> tuple[str, ...]:
        """Name the columns that hold the source table's key, in its order."""
        by_source = {each.source.name: each.name for each in self.columns if not each.is_day}
        return tuple(by_source[name] for name in self.relation.key)

    @property
    def short_name(self) -> str:
        """Give the name of the SELECT's file."""
        return self.name.partition("_")[2]


def draft(catalogue: Catalogue) -> tuple[Drafted, ...]:
    """Make a star of a catalogue, the dimensions first."""
    roles, likely = roles_of(catalogue.tables), likely_references(catalogue.tables)
    names = _names(catalogue.tables)
    single = {
        table.place: (names[table.place], table.key[0])
        for table in catalogue.tables
        if not roles[table.place].is_fact and len(table.key) == 1
    }
    found = [
        _drafted(table, names[table.place], roles, single, likely.get(table.place, {})) for table in catalogue.tables
    ]
    return tuple(sorted(found, key=lambda each: each.role.is_fact))


def _names(tables: Sequence[Relation]) -> Mapping[Place, str]:
    found: dict[Place, str] = {}
    # The calendar has its own.
    taken = {CALENDAR.partition("_")[2]}
    for table in tables:
        found[table.place] = free(plain(table.name, LONGEST_TABLE), taken)
        taken.add(found[table.place])
    return found


def _drafted(
    table: Relation,
    name: str,
    roles: Mapping[Place, Role],
    single: Mapping[Place, tuple[str, str]],
    likely: Mapping[str, Place],
) -> Drafted:
    role, created, updated = roles[table.place], created_of(table), updated_of(table)
    if not role.is_fact:
        return Drafted(f"dim_{name}", table, role, _columns(table, ("batch_id",)), created, updated)
    surrogate = free(f"{name}_record_id", [plain(each.name) for each in table.columns])
    columns = _columns(table, (*OWN, surrogate))
    by_source = {each.source.name: each.name for each in columns}
    references, unreferenced = _references(table, by_source, roles, single)
    unreferenced += [
        f"decide: {by_source[column]}: no foreign key says so, but it may refer to dim_{single[place][0]}"
        for column, place in likely.items()
        if place in single
    ]
    days = tuple(_days(days_of(table, updated), columns, references))
    references |= {each.name: CALENDAR for each in days or ()}
    references |= {
        by_source[each.name]: CALENDAR
        for each in days_of(table, updated)
        if each.base_type == "date" and by_source[each.name] not in references
    }
    return Drafted(
        f"fact_{name}", table, role, (*columns, *days), created, updated, surrogate, references, tuple(unreferenced)
    )


def _columns(table: Relation, own: Sequence[str]) -> tuple[Yielded, ...]:
    # What has a plain name keeps it.
    kept = {column.name for column in table.columns if plain(column.name) == column.name and column.name not in own}
    taken = {*own, *kept}
    found = []
    for column in table.columns:
        name = plain(column.name)
        wanted = f"source_{name}" if name in own else name
        found.append(Yielded(column.name if column.name in kept else free(wanted, taken), column))
        taken.add(found[-1].name)
    return tuple(found)


def _days(moments: Sequence[Column], columns: Sequence[Yielded], references: Mapping[str, str]) -> Iterator[Yielded]:
    """Give each moment's day a column of its own, which can refer to the calendar."""
    taken = {each.name for each in columns} | {*references, *OWN}
    for column in (each for each in moments if each.base_type != "date"):
        name = plain(column.name)
        base = name
        for ending in ("_at", "_on", "_time", "_timestamp", "_ts"):
            base = base.removesuffix(ending)
        wanted = f"{base}_date"
        if base.endswith("_date") or wanted in taken:
            wanted = f"{base.removesuffix('_date')}_day"
        yield Yielded(free(wanted, taken), column, is_day=True)
        taken.add(free(wanted, taken))


def _references(
    table: Relation,
    by_source: Mapping[str, str],
    roles: Mapping[Place, Role],
    single: Mapping[Place, tuple[str, str]],
) -> tuple[dict[str, str], list[str]]:
    """Turn foreign keys into references, as far as a dimension has exactly that key."""
    found: dict[str, str] = {}
    other = []
    for each in table.references:
        name, key = single.get(each.table, ("", ""))
        columns = ", ".join(by_source[column] for column in each.columns)
        if each.table not in roles:
            other.append(f"{columns}: {each.table[1]} is not in the star")
        elif roles[each.table].is_fact:
            other.append(f"{columns}: {each.table[1]} is a fact, and only dimensions are referred to")
        elif each.other_columns != (key,):
            other.append(f"{columns}: a reference needs a dimension whose key is this one column")
        elif not each.is_valid:
            other.append(
                f"{columns}: the source does not validate this foreign key, so a row may find none in dim_{name}"
            )
        else:
            found.setdefault(by_source[each.columns[0]], f"dim_{name}")
    return found, other
