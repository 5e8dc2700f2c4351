"""The warehouse's tables made again beside its own, to compare the two and put right the rows that differ."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import psycopg
from psycopg import sql

from tidemark.model import StarTable
from tidemark.postgres.queries import query

VALID_TO = "valid_to"


@dataclass
class RemadeTables:
    """The tables that were made again: a temporary table for each of the warehouse's own."""

    connection: psycopg.Connection
    stars: dict[str, StarTable] = field(default_factory=dict)
    columns: dict[str, list[str]] = field(default_factory=dict)

    def fill(self, star: StarTable, columns: Sequence[str], blocks: Iterable[bytes]) -> None:
        """Make a table again from the star's rows, which come as blocks of CSV with these columns."""
        self.stars[star.name] = star
        self.columns[star.name] = [*columns, *([VALID_TO] if star.kind == "fact" else [])]
        parts = self._parts(star.name)
        self._run("create_remade", parts)
        copy_in = query("warehouse", "copy_in", table=parts["remade"], columns=_list(columns))
        with self.connection.cursor().copy(copy_in) as copy:
            for block in blocks:
                copy.write(block)
        if star.kind == "fact":
            self._run("close_versions", parts | {"source_key": _list(star.source_key)})
        self._run("analyze", parts)

    def compared(self, name: str) -> tuple[int, int, int]:
        """Count the rows made, those that the warehouse's own table lacks, and those that only the own table has."""
        rows, missing, surplus = self._run("compare", self._parts(name)).fetchone() or (0, 0, 0)
        return rows, missing, surplus

    def put_right(self, differing: set[str]) -> None:
        """Make the differing tables of the warehouse equal to those made again, in the order that references allow."""
        dimensions = [name for name, star in self.stars.items() if star.kind != "fact" and name in differing]
        facts = [name for name, star in self.stars.items() if star.kind == "fact" and name in differing]
        for name in dimensions:
            others = [column for column in self.columns[name] if column not in self.stars[name].key]
            # A table that has only its key has nothing to update, so a column of the key is set to itself.
            assigned = others or self.stars[name].key[:1]
            parts = [sql.SQL("{0} = excluded.{0}").format(sql.Identifier(column)) for column in assigned]
            self._run("put_right", self._parts(name) | {"assignments": sql.SQL(", ").join(parts)})
        for name in facts:
            self._run("delete_differing", self._parts(name))
        for name in facts:
            self._run("insert_absent", self._parts(name))
        for name in reversed(dimensions):
            self._run("delete_surplus", self._parts(name))

    def _run(self, name: str, parts: Mapping[str, sql.Composable]) -> psycopg.Cursor:
        return self.connection.execute(query("rebuild", name, **parts))

    def _parts(self, name: str) -> dict[str, sql.Composable]:
        star = self.stars[name]
        matches = [sql.SQL("old.{0} = later.{0}").format(sql.Identifier(column)) for column in star.key]
        return {
            "table": sql.Identifier(name),
            # A number, because PostgreSQL cuts off a long name with a prefix, and then two names may be the same.
            "remade": sql.Identifier(f"rebuilt_{list(self.stars).index(name)}"),
            "columns": _list(self.columns[name]),
            "key": _list(star.key),
            "matches": sql.SQL(" and ").join(matches),
        }


def _list(names: Iterable[str]) -> sql.Composed:
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)
