"""Limits: what a star table's columns can hold, read from the statements that make the warehouse's tables.

DuckDB runs the model's own `create table` statements, so that a type or a `not null` is written down once. What DuckDB
cannot run has no limits here, and the warehouse alone judges it.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from tidemark.model import Model
from tidemark.sqltext import quoted
from tidemark.statements import created, split_statements

logger = logging.getLogger(__name__)
# The lake has no such types: it keeps the text, whose form is checked.
TEXT_IN_LAKE = {"TIME": "VARCHAR", "UUID": "VARCHAR", "INTERVAL": "VARCHAR", "JSON": "VARCHAR"}
LONGEST_DATE = len("2024-01-31")
WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
UNCONSTRAINED = "DECIMAL(38,18)"


@dataclass(frozen=True)
class Limit:
    """What a column holds: a DuckDB type, and whether it must have a value."""

    type: str
    is_required: bool

    @property
    def lake_type(self) -> str:
        """Give the type in which the lake keeps it."""
        return TEXT_IN_LAKE.get(self.type, self.type)

    def converted(self, name: str, found: str) -> str | None:
        """Write the expression that brings a column of type `found` into this type, null where it does not fit.

        None where it is of this type already.
        """
        if self.lake_type in (found, "VARCHAR"):
            return None
        # By way of its text a wide decimal is brought into a narrow one in a third of the time.
        column = f"cast({quoted(name)} as varchar)" if found.startswith("DECIMAL") else quoted(name)
        return f"try_cast({column} as {self.lake_type})"

    def problem(self, name: str, found: str, value: str) -> str | None:
        """Write the expression that says why a value does not fit, or null where it does.

        Args:
            name: the column.
            found: the DuckDB type that the model's SELECT yields for it.
            value: the quoted name of the column as converted.
        """
        column = quoted(name)
        wrong = [f"{value} is null"] if value != column else []
        if self.type == "TIME":
            wrong.append(f"try_cast({column} as time) is null")
        if self.type == "DATE" and found == "VARCHAR":
            # DuckDB takes `epoch` and `2024-01-01 10:00` for dates as well.
            wrong.append(f"strlen({column}) > {LONGEST_DATE} or {column} < '0' or {column} >= ':'")
        if self.type.startswith(("DATE", "TIMESTAMP")):
            # Infinity lies outside as well.
            wrong.append(f"{value} < '0001-01-01'::{self.type} or {value} >= '10000-01-01'::{self.type}")
        if value != column and self.type.startswith("DECIMAL"):
            wrong.append(f"try_cast({column} as {UNCONSTRAINED}) is distinct from cast({value} as {UNCONSTRAINED})")
        if value != column and self.type in WHOLE_NUMBERS and found != "VARCHAR":
            wrong.append(f"{value} <> {column}")
        cases = []
        if self.is_required:
            cases.append(f"when {column} is null then '{_plain(name)} is null, and the star has none there'")
        if wrong:
            told = f"'{_plain(name)} is ''' || left({column}::varchar, 100) || ''', which is no {_plain(self.type)}'"
            cases.append(f"when {column} is not null and ({' or '.join(wrong)}) then {told}")
        return f"case {' '.join(cases)} end" if cases else None


def limits_of(model: Model) -> Mapping[str, Mapping[str, Limit]]:
    """Give the limits of each star table's columns, in the order of the warehouse's columns."""
    connection = duckdb.connect()
    try:
        for statement in split_statements(model.warehouse_sql):
            made = created(statement)
            if made and made[0] == "table":
                try:
                    connection.execute(statement)
                except duckdb.Error as exc:
                    logger.debug("the limits of %s are unknown: %s", made[1], exc)
        found: dict[str, dict[str, Limit]] = {}
        columns = "select table_name, column_name, data_type, is_nullable from duckdb_columns() order by column_index"
        for table, column, kind, is_nullable in connection.execute(columns).fetchall():
            found.setdefault(table, {})[column] = Limit(kind, not is_nullable)
        return {name: found.get(name, {}) for name in model.stars}
    finally:
        connection.close()


def _plain(text: str) -> str:
    return text.replace("'", "''")
