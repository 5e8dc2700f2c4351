"""Limits: what a star table's columns can hold, read from the statements that make the warehouse's tables.

DuckDB runs the same `create table` statements, so that a type or a `not null` is written down only once. A table whose
statement DuckDB cannot run has no limits here: only the warehouse judges its rows.
"""

import functools
import logging
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from tidemark.lake.access import shut
from tidemark.lake.sqltext import Condition, Expression, any_of, converted, quoted, select, text, tried
from tidemark.log.columns import WIDEST_DECIMAL_DIGITS
from tidemark.model import Model, StarTable
from tidemark.postgres.statements import created, split_statements
from tidemark.tables.statements import known_sql, warehouse_sql

if TYPE_CHECKING:
    import duckdb

logger = logging.getLogger(__name__)
# The lake has none of these types. It keeps their text, and the form of the text is checked.
TEXT_IN_LAKE = dict.fromkeys(("TIME", "UUID", "INTERVAL", "JSON", "NUMERIC"), "VARCHAR")
# A numeric without a precision, or with more digits than a decimal has here.
NUMERIC = "NUMERIC"
# An enum of the file, whose text the lake keeps; its values follow.
ENUM_TYPE = "ENUM("
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
FLOATS = {"FLOAT", "DOUBLE"}
UNCONSTRAINED = "DECIMAL(38,18)"
# DuckDB reads these differently from Postgres: a bare numeric as numeric(18, 3), timestamp(3) as milliseconds, the
# precision of other times not at all, and a text type without its length.
BARE_NUMERIC = re.compile(r"\b(numeric|decimal)\b(?!\s*\()", re.IGNORECASE)
PRECISION_OF_TIME = re.compile(r"\b(timestamp|timestamptz|time|interval)\s*\(\s*\d\s*\)", re.IGNORECASE)
COLUMN = r'[(,]\s*("(?:[^"]|"")+"|\w+)\s+'
SIZED_TEXT = re.compile(
    COLUMN + r"(?:varchar|(?:national\s+)?(?:(n?char|character|bpchar)(?!\s+varying)|character\s+varying))\b"
    r"(?:\s*\(\s*(\d+)\s*\))?",
    re.IGNORECASE,
)
ROUNDED = re.compile(COLUMN + r"(?:timestamp|timestamptz|time|interval)\s*\(\s*[0-5]\s*\)", re.IGNORECASE)
WIDE_NUMERIC = re.compile(r"\b(?:numeric|decimal)\s*\(\s*(\d+)\s*(?:,\s*-?\d+\s*)?\)", re.IGNORECASE)
NUMERICS = re.compile(
    COLUMN + r"(?:numeric|decimal)\b(?:\s*\(\s*(\d+)\s*(?:,\s*(-?\d+)\s*)?\))?(?!\s*(?:\[|array\b))", re.IGNORECASE
)
DIGITS = r"[+-]?(\d+([.]\d*)?|[.]\d+)"
# What PostgreSQL takes for a numeric without a precision, and for one with it.
ANY_NUMBER, PLAIN_NUMBER = rf"(?i)({DIGITS}(e[+-]?\d+)?|nan|[+-]?inf(inity)?)", rf"(?i)({DIGITS}|nan)"
# What the catalog calls every type whose values are filled up with spaces.
PADDED_TYPE = "character"
# DuckDB knows enums, but neither domains nor the types of extensions or of other hands. A domain stands for its base.
ENUM = re.compile(r"create\s+type\s+(\S+)\s+as\s+enum\b", re.IGNORECASE)
DOMAIN = re.compile(
    r"create\s+domain\s+(\S+)\s+(?:as\s+)?(.+?)\s*(?:\b(?:not|null|check|default|constraint|collate)\b.*)?$",
    re.IGNORECASE | re.DOTALL,
)
# PostgreSQL fills such a column itself; here any default says so.
SERIALS = {"smallserial": "smallint default 0", "serial": "integer default 0", "bigserial": "bigint default 0"}
UNKNOWN_TYPE = re.compile(r'Type with name "?([^\s"]+)"? (?:does not exist|is not in the catalog)')
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


@dataclass(frozen=True)
class Limit:
    """What a column can hold: a DuckDB type, whether a value is required, and a text's most characters (0: any).

    `has_default` says that the warehouse itself fills the column where nothing else does, `is_rounded` that it keeps
    fewer digits of a second than a value may have. `other_type` is PostgreSQL's type where DuckDB has text for it, and
    `digits` are the precision and the scale of a NUMERIC that has them.
    """

    type: str
    is_required: bool
    longest: int = 0
    has_default: bool = False
    is_rounded: bool = False
    other_type: str = ""
    digits: tuple[int, int] | None = None

    @property
    def lake_type(self) -> str:
        """Give the type in which the lake keeps the column."""
        return "VARCHAR" if self.type.startswith(ENUM_TYPE) else TEXT_IN_LAKE.get(self.type, self.type)

    def of_yield(self, found: str) -> "Limit":
        """Give the limit for what a SELECT yields: a NUMERIC holds texts, and a number as a decimal of DuckDB's."""
        return replace(self, type=UNCONSTRAINED) if self.type == NUMERIC and found != "VARCHAR" else self

    def converted(self, name: str, found: str) -> Expression | None:
        """Write the expression that converts a column of type `found`; it is null where the value does not fit.

        Return None when the column needs no conversion.
        """
        kind = self.of_yield(found).lake_type
        if kind in (found, "VARCHAR"):
            return None
        # Through its text a wide decimal becomes a narrow one in a third of the time.
        column = converted(quoted(name), "varchar") if found.startswith("DECIMAL") else quoted(name)
        return tried(column, kind)

    def problem(self, name: str, found: str, value: Expression) -> Expression | None:
        """Write the expression that says why a value does not fit; it is null where the value fits.

        Args:
            name: the column.
            found: the DuckDB type that the model's SELECT yields for it.
            value: the quoted name of the column as converted.
        """
        if self.of_yield(found) != self:
            return self.of_yield(found).problem(name, found, value)
        column = quoted(name)
        wrong = [*self._malformed(column, found, value), *(self._lost(column, found, value) if value != column else ())]
        cases = []
        if self.is_required:
            reason = text(f"{name} is null, and the star has none there")
            cases.append(f"when {column} is null then {reason}")
        if wrong:
            before, after = text(f"{name} is '"), text(f"', which is no {self._shown}")
            reason = Expression(f"{before} || left({self._exact(column, found)}, 100) || {after}")
            if found in FLOATS and (self.type.startswith("DECIMAL") or self.type in WHOLE_NUMBERS):
                # No cast helps a NaN or a number that is too large.
                cast = text(f": a float; if rounding is meant, write cast(… as {self.type.lower()}) in the SELECT")
                reason = Expression(f"{reason} || case when {value} is null then '' else {cast} end")
            cases.append(f"when {column} is not null and ({any_of(wrong)}) then {reason}")
        return Expression(f"case {' '.join(cases)} end") if cases else None

    def _lost(self, column: Expression, found: str, value: Expression) -> Iterator[Condition]:
        """Write the conditions under which the conversion loses the value or some of its digits."""
        yield Condition(f"{value} is null")
        exact = tried(column, UNCONSTRAINED)
        if self.type.startswith("DECIMAL"):
            yield Condition(f"{exact} is distinct from {tried(value, UNCONSTRAINED)}")
        if found == "VARCHAR" and (self.type.startswith("DECIMAL") or self.type in WHOLE_NUMBERS):
            yield _has_more_decimals(column, int(self.type.rpartition(",")[2].strip(" )")) if "," in self.type else 0)
        if self.type in WHOLE_NUMBERS:
            # The cast of a text rounds, and comparing the result with the text would round it in the same way.
            yield Condition(f"{value} is distinct from {exact if found == 'VARCHAR' else column}")

    def _malformed(self, column: Expression, found: str, value: Expression) -> Iterator[Condition]:
        """Write the conditions under which Postgres would refuse a text, or the type has no such value."""
        if self.type.startswith(ENUM_TYPE):
            yield Condition(f"{column}::varchar not in ({self.type.removeprefix(ENUM_TYPE)}")
        if self.type in ("TIME", "UUID") and self.type != found:
            yield Condition(f"{tried(column, self.type)} is null")
        if self.type == NUMERIC:
            yield from self._no_numeric(column)
        if self.type == "JSON":
            yield Condition(f"not json_valid({column}::varchar)")
        if self.type in FORMS and found == "VARCHAR":
            yield Condition(f"not regexp_full_match({column}, {text(FORMS[self.type])})")
        if self.type.startswith(("DATE", "TIMESTAMP")):
            # Infinity is outside this range too.
            yield Condition(f"{value} < '0001-01-01'::{self.type} or {value} >= '10000-01-01'::{self.type}")
        if self.longest:
            yield Condition(f"length({column}::varchar) > {self.longest}")

    def _no_numeric(self, column: Expression) -> Iterator[Condition]:
        """Write the conditions under which Postgres would refuse a text as a numeric, or would round it."""
        yield Condition(f"not regexp_full_match({column}, {text(PLAIN_NUMBER if self.digits else ANY_NUMBER)})")
        if self.digits:
            precision, scale = self.digits
            too_large = text(rf"^[+-]?0*[1-9]\d{{{max(precision - scale, 0)}}}")
            yield Condition(f"regexp_matches({column}, {too_large})")
            yield _has_more_decimals(column, scale)

    @staticmethod
    def _exact(column: Expression, found: str) -> Expression:
        """Write the expression for the text of a value: of a float with the digits beyond its shortest text."""
        return Expression(f"{column}::double::varchar" if found == "FLOAT" else f"{column}::varchar")

    @property
    def _shown(self) -> str:
        return f"{self.type}({self.longest})" if self.longest else self.type


def limits_of(model: Model) -> Mapping[str, Mapping[str, Limit]]:
    """Give the limits of each star table's columns, in the order of the warehouse's columns.

    Raises:
        ConfigError: a table of the warehouse is neither written nor can it be derived.
    """
    return _of_tables(model, _limits(warehouse_sql(model)))


def known_limits_of(model: Model) -> Mapping[str, Mapping[str, Limit]]:
    """Give the limits as `limits_of` does; a table that cannot be derived has none."""
    return _of_tables(model, _limits(known_sql(model)))


def _of_tables(model: Model, found: Mapping[str, Mapping[str, Limit]]) -> Mapping[str, Mapping[str, Limit]]:
    return {star.name: _with_keys(star, found.get(star.name, {})) for star in model.stars.values()}


def _with_keys(star: StarTable, limits: Mapping[str, Limit]) -> Mapping[str, Limit]:
    """Give the limits with a decimal for each key and reference, because equal numerics may differ in text."""
    keys = {name for name, limit in limits.items() if limit.type == NUMERIC and name in star.key_columns}
    return {
        name: replace(limit, type=UNCONSTRAINED, digits=None) if name in keys else limit
        for name, limit in limits.items()
    }


def _has_more_decimals(column: Expression, scale: int) -> Condition:
    digits = text(rf"[.]\d{{{max(scale, 0)}}}\d*[1-9]")
    return Condition(f"regexp_matches({column}, {digits})")


@functools.lru_cache(maxsize=8)
def _limits(warehouse_sql: str) -> Mapping[str, Mapping[str, Limit]]:
    import duckdb  # noqa: PLC0415 -- as the engine does it

    connection = duckdb.connect()
    shut(connection)
    declared: dict[tuple[str, str], dict[str, Any]] = {}
    known = dict(SERIALS)
    texts: dict[str, str] = {}
    try:
        for statement in split_statements(warehouse_sql):
            bare = COMMENT.sub(" ", statement).strip()
            made = created(statement)
            if domain := DOMAIN.match(bare):
                known[domain[1].strip('"').lower()] = domain[2]
            elif ENUM.match(bare):
                connection.execute(bare)
            elif made and made[0] == "table":
                texts[made[1].lower()] = bare
                facts = _make(connection, made[1], bare, known)
                declared |= {(made[1], column): each for column, each in facts.items()}
        found: dict[str, dict[str, Limit]] = {}
        for table, column, kind, is_nullable, has_default in connection.execute(select("limits", "columns")).fetchall():
            text = texts.get(table.lower(), "")
            name = _folded(table, text)
            more = declared.get((name, column), {})
            limit = Limit(**{"type": kind, "is_required": not is_nullable, "has_default": has_default, **more})
            found.setdefault(name, {})[_folded(column, text)] = limit
        return found
    finally:
        connection.close()


def _make(
    connection: "duckdb.DuckDBPyConnection", table: str, statement: str, known: Mapping[str, str]
) -> Mapping[str, dict[str, Any]]:
    """Make a table in DuckDB; a type that it does not know becomes the base of a domain, or text without a limit.

    Returns:
        What DuckDB does not keep of a column, by the column as it is written.
    """
    import duckdb  # noqa: PLC0415 -- as above

    others = dict[str, str]()
    unknown = ""
    while True:
        try:
            narrowed = WIDE_NUMERIC.sub(_narrowed, BARE_NUMERIC.sub(r"\1(38, 18)", statement))
            connection.execute(PRECISION_OF_TIME.sub(r"\1", narrowed))
        except duckdb.Error as exc:
            found = UNKNOWN_TYPE.search(str(exc))
            if found is None or found[1] == unknown:
                logger.debug("the limits of %s are unknown: %s", table, exc)
                return {}
            unknown = found[1]
            name = re.compile(
                rf'(("(?:[^"]|"")+"|\w+)\s+)(?:\w+\.)?"?{re.escape(unknown)}"?(?!\w)(?:\s*\([\w, ]*\))?', re.IGNORECASE
            )
            base = known.get(unknown.lower())
            if base is None:
                others |= {_bare(column): unknown.lower() for _, column in name.findall(statement)}
            statement = name.sub(rf"\1{base or 'text'}", statement)
        else:
            return _declared(statement, others)


def _declared(statement: str, others: Mapping[str, str]) -> Mapping[str, dict[str, Any]]:
    """Read from a statement what DuckDB does not keep of its columns."""
    found: dict[str, dict[str, Any]] = {name: {"other_type": kind} for name, kind in others.items()}
    for column, padded, length in SIZED_TEXT.findall(statement):
        longest = int(length or padded.lower() not in ("", "bpchar"))
        found[_bare(column)] = {"longest": longest, "other_type": PADDED_TYPE if padded else ""}
    for column, precision, scale in NUMERICS.findall(statement):
        if not precision or int(precision) > WIDEST_DECIMAL_DIGITS:
            digits = (int(precision), int(scale or 0)) if precision else None
            found[_bare(column)] = {"type": NUMERIC, "digits": digits}
    return found | {_bare(column): {"is_rounded": True} for column in ROUNDED.findall(statement)}


def _narrowed(numeric: re.Match[str]) -> str:
    return "decimal(38, 18)" if int(numeric[1]) > WIDEST_DECIMAL_DIGITS else numeric[0]


def _bare(name: str) -> str:
    return name.strip('"').replace('""', '"')


def _folded(name: str, statement: str) -> str:
    """Give a name as PostgreSQL reads it: DuckDB keeps the capitals of a name that is not in quotes."""
    return name if quoted(name) in statement else name.lower()
