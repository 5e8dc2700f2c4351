"""The warehouse's tables made again beside its own, to compare the two and put right the rows that differ.

A row that differs is updated where it is, since rows of other tables may refer to it. Only a row that the star does not
hold is deleted.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import errors, sql

from tidemark.errors import DataError
from tidemark.model import StarTable
from tidemark.postgres.connection import detail_of
from tidemark.postgres.queries import query

VALID_FROM, VALID_TO = "valid_from", "valid_to"
MOST_KEYS = 20


@dataclass
class RemadeTables:
    """The tables that were made again: a temporary table for each of the warehouse's own."""

    connection: psycopg.Connection
    stars: dict[str, StarTable] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)

    def fill(self, star: StarTable, columns: Sequence[str], blocks: Iterable[bytes]) -> None:
        """Make a table again from the star's rows, which come as blocks of CSV with these columns."""
        self.stars[star.name] = star
        self.columns[star.name] = [*columns, *([VALID_TO] if star.is_versioned else [])]
        self._run("create_remade", star.name)
        remade = {"table": self._parts(star.name)["remade"], "columns": _list(columns)}
        copy_in = query("warehouse", "copy_in", form=sql.SQL("csv"), **remade)
        with self.connection.cursor().copy(copy_in) as copy:
            for block in blocks:
                copy.write(block)
        if star.is_versioned:
            self._run("close_versions", star.name)
        self._run("analyze", star.name)

    def compared(self, name: str) -> tuple[int, int, int]:
        """Count the rows made, those that the warehouse's own table lacks, and those that only the own table has.

        A row that differs counts as both. Of rows that are there several times, because the table has lost its key, all
        but one are deleted first.
        """
        repeated = 0
        if not self._has_unique_key(name):
            repeated = self._run("delete_repeated", name).rowcount
        self._run("compare", name)
        rows, missing, surplus = self._run("count", name).fetchone() or (0, 0, 0)
        return rows, missing, surplus + repeated

    def put_right(self, differing: set[str]) -> None:
        """Make the differing tables of the warehouse equal to those made again, in the order that references allow.

        Raises:
            DataError: a row of another table refers to a row that the star does not hold.
        """
        dimensions = [name for name, star in self.stars.items() if not star.is_versioned and name in differing]
        # No row refers to a version, so the order among the tables of versions does not matter.
        versioned = [name for name, star in self.stars.items() if star.is_versioned and name in differing]
        for name in dimensions:
            self._run("update_differing", name)
            self._run("insert_missing", name)
        for name in versioned:
            self._delete_surplus(name)
            self._run("end_versions", name)
            if not self.stars[name].mirror:
                # A row of a mirror is found by its place in history, so it has the right one.
                self._run("set_apart", name)
            self._run("update_differing", name)
            self._run("insert_missing", name)
        for name in reversed(dimensions):
            self._delete_surplus(name)

    def _delete_surplus(self, name: str) -> None:
        try:
            with self.connection.transaction():
                self._run("delete_surplus", name)
                self._run("check_references", name)
        except errors.ForeignKeyViolation as exc:
            keys = [row[0] for row in self._run("surplus_keys", name)]
            named = f"{exc.diag.schema_name}.{exc.diag.table_name}"
            message = (
                f"rows of {named} refer to rows of {name} that the star does not hold ({exc.diag.constraint_name}):"
                f" {detail_of(exc)}"
            )
            shown = (
                f"{', '.join(self.stars[name].version_key)}: {'; '.join(keys)}{' …' if len(keys) == MOST_KEYS else ''}"
            )
            advice = (
                f"delete these rows of {named}, or let them refer to others, and run tidemark rebuild warehouse again;"
                f" the rows that the star does not hold have {shown}; nothing was changed"
            )
            raise DataError(message, advice=advice, table=name, constraint=exc.diag.constraint_name) from exc

    def _has_unique_key(self, name: str) -> bool:
        star = self.stars[name]
        values = {"table": sql.Identifier(*star.place).as_string(), "key": list(star.version_key)}
        return self.connection.execute(query("rebuild", "has_unique_key"), values).fetchone() == (True,)

    def _run(self, statement: str, name: str) -> psycopg.Cursor:
        return self.connection.execute(query("rebuild", statement, **self._parts(name)))

    def _parts(self, name: str) -> dict[str, sql.Composable]:
        star, columns = self.stars[name], self.columns[name]
        # A number, because PostgreSQL cuts off a long name with a prefix, and then two names may be the same.
        number = list(self.stars).index(name)
        place = [*star.source_key, *([VALID_FROM] if star.is_versioned else [])]
        return {
            "table": sql.Identifier(*star.place),
            "remade": sql.Identifier(f"rebuilt_{number}"),
            "differences": sql.Identifier(f"rebuilt_{number}_differences"),
            "columns": _list(columns),
            "later_columns": _list(columns, "later."),
            "key": _list(star.version_key),
            "old_key": _list(star.version_key, "old."),
            "surrogate": sql.Identifier(star.key[0]),
            "source_key": _list(star.source_key),
            "matches": _pairs("old.{0} = later.{0}", star.version_key, " and "),
            "differs": _other_bytes(columns),
            "is_elsewhere": _other_bytes(place),
            "assignments": _pairs("{0} = later.{0}", columns, ", "),
            "most": sql.Literal(MOST_KEYS),
        }


def _other_bytes(names: Sequence[str]) -> sql.Composed:
    return sql.SQL("record_image_ne(row({}), row({}))").format(_list(names, "old."), _list(names, "later."))


def _pairs(form: str, names: Iterable[str], separator: str) -> sql.Composed:
    return sql.SQL(separator).join(sql.SQL(form).format(sql.Identifier(name)) for name in names)


def _list(names: Iterable[str], prefix: str = "") -> sql.Composed:
    return sql.SQL(", ").join(sql.SQL(prefix) + sql.Identifier(name) for name in names)
