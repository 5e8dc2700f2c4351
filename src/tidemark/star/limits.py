"""Limits: what a star table's columns can hold, read from the statements that make the warehouse's tables.

DuckDB runs the model's own `create table` statements, so that a type or a `not null` is written down only once. A table
whose statement DuckDB cannot run has no limits here: only the warehouse judges its rows.
"""

import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import duckdb

from tidemark.lake.sqltext import Condition, Expression, any_of, converted, quoted, select, text, tried
from tidemark.model import Model
from tidemark.postgres.statements import created, split_statements

logger = logging.getLogger(__name__)
# The lake has none of these types. It keeps their text, and the form of the text is checked.
TEXT_IN_LAKE = {"TIME": "VARCHAR", "UUID": "VARCHAR", "INTERVAL": "VARCHAR", "JSON": "VARCHAR"}
# What a text must look like: DuckDB guesses as well, takes `24-01-05` for the year 24, and passes over a zone or a
# seventh decimal of a second. ISO 8601 has these forms, and a blank for its T.
DAY, TIME = r"\d{4}-\d{2}-\d{2}", r"\d{2}:\d{2}(:\d{2}([.]\d{1,6})?)?"
FORMS = {
    "DATE": DAY,
    "TIME": TIME,
    "TIMESTAMP": f"{DAY}([ T]{TIME})?",
    "TIMESTAMP WITH TIME ZONE": rf"{DAY}([ T]{TIME}(Z|[+-]\d{{2}}(:?\d{{2}})?)?)?",
}
WHOLE_NUMBERS = {"TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT"}
UNCONSTRAINED = "DECIMAL(38,18)"
# DuckDB reads these differently from Postgres: a bare numeric as numeric(18, 3), timestamp(3) as milliseconds, the
# precision of other times not at all, and a text type without its length.
BARE_NUMERIC = re.compile(r"\b(numeric|decimal)\b(?!\s*\()", re.IGNORECASE)
PRECISION_OF_TIME = re.compile(r"\b(timestamp|timestamptz|time|interval)\s*\(\s*\d\s*\)", re.IGNORECASE)
LENGTH = re.compile(
    r'[(,]\s*("(?:[^"]|"")+"|\w+)\s+(?:varchar|character\s+varying|char|character)\s*\(\s*(\d+)\s*\)', re.IGNORECASE
)
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Limit:
    """What a column can hold: a DuckDB type, whether a value is required, and a text's most characters (0: any)."""

    type: str
    is_required: bool
    longest: int = 0

    @property
    def lake_type(self) -> str:
        """Give the type in which the lake keeps the column."""
        return TEXT_IN_LAKE.get(self.type, self.type)

    def converted(self, name: str, found: str) -> Expression | None:
        """Write the expression that converts a column of type `found`; it is null where the value does not fit.

        Return None when the column needs no conversion.
        """
        if self.lake_type in (found, "VARCHAR"):
            return None
        # Through its text a wide decimal becomes a narrow one in a third of the time.
        column = converted(quoted(name), "varchar") if found.startswith("DECIMAL") else quoted(name)
        return tried(column, self.lake_type)

    def problem(self, name: str, found: str, value: Expression) -> Expression | None:
        """Write the expression that says why a value does not fit; it is null where the value fits.

        Args:
            name: the column.
            found: the DuckDB type that the model's SELECT yields for it.
            value: the quoted name of the column as converted.
        """
        column = quoted(name)
        wrong = [*self._malformed(column, found, value), *(self._lost(column, found, value) if value != column else ())]
        cases = []
        if self.is_required:
            told = text(f"{name} is null, and the star has none there")
            cases.append(f"when {column} is null then {told}")
        if wrong:
            before, after = text(f"{name} is '"), text(f"', which is no {self._shown}")
            told = Expression(f"{before} || left({column}::varchar, 100) || {after}")
            cases.append(f"when {column} is not null and ({any_of(wrong)}) then {told}")
        return Expression(f"case {' '.join(cases)} end") if cases else None

    def _lost(self, column: Expression, found: str, value: Expression) -> Iterator[Condition]:
        """Write the conditions under which the conversion loses the value or some of its digits."""
        yield Condition(f"{value} is null")
        exact = tried(column, UNCONSTRAINED)
        if self.type.startswith("DECIMAL"):
            yield Condition(f"{exact} is distinct from {tried(value, UNCONSTRAINED)}")
        if self.type in WHOLE_NUMBERS:
            # The cast of a text rounds, and comparing the result with the text would round it in the same way.
            yield Condition(f"{value} is distinct from {exact if found == 'VARCHAR' else column}")

    def _malformed(self, column: Expression, found: str, value: Expression) -> Iterator[Condition]:
        """Write the conditions under which Postgres would refuse a text, or the type has no such value."""
        if self.type in ("TIME", "UUID") and self.type != found:
            yield Condition(f"{tried(column, self.type)} is null")
        if self.type == "JSON":
            yield Condition(f"not json_valid({column}::varchar)")
        if self.type in FORMS and found == "VARCHAR":
            yield Condition(f"not regexp_full_match({column}, {text(FORMS[self.type])})")
        if self.type.startswith(("DATE", "TIMESTAMP")):
            # Infinity is outside this range too.
            yield Condition(f"{value} < '0001-01-01'::{self.type} or {value} >= '10000-01-01'::{self.type}")
        if self.longest:
            yield Condition(f"length({column}::varchar) > {self.longest}")

    @property
    def _shown(self) -> str:
        return f"{self.type}({self.longest})" if self.longest else self.type


def limits_of(model: Model) -> Mapping[str, Mapping[str, Limit]]:
    """Give the limits of each star table's columns, in the order of the warehouse's columns."""
    connection = duckdb.connect()
    lengths: dict[tuple[str, str], int] = {}
    try:
        for statement in split_statements(model.warehouse_sql):
            made = created(statement)
            if made and made[0] == "table":
                bare = COMMENT.sub(" ", statement)
                for column, length in LENGTH.findall(bare):
                    lengths[made[1], column.strip('"').replace('""', '"')] = int(length)
                try:
                    connection.execute(PRECISION_OF_TIME.sub(r"\1", BARE_NUMERIC.sub(r"\1(38, 18)", bare)))
                except duckdb.Error as exc:
                    logger.debug("the limits of %s are unknown: %s", made[1], exc)
        found: dict[str, dict[str, Limit]] = {}
        for table, column, kind, is_nullable in connection.execute(select("limits", "columns")).fetchall():
            limit = Limit(kind, not is_nullable, lengths.get((table, column), 0))
            found.setdefault(table, {})[column] = limit
        return {name: found.get(name, {}) for name in model.stars}
    finally:
        connection.close()
