"""The warehouse's tables of a mirror: each source table's versions, a view of the live rows, a function as of a moment.

They follow the source: a new column comes to the end, a type becomes wider, and nothing is ever dropped but a view that
is made again at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import psycopg
from psycopg import sql
from psycopg.rows import class_row, dict_row

from tidemark.errors import ConfigError
from tidemark.mirror import HISTORY, Mirror, history_columns
from tidemark.model import MirroredTable, StarTable, fitted
from tidemark.postgres.queries import query
from tidemark.postgres.widening import TEXT, holding
from tidemark.warehouse.dependents import require_free, rights_of, rights_of_functions

AS_OF = "_as_of"
# The types under which two keys are one if their texts are, or if the log takes them for one (numbers, char(n)).
FIT_FOR_KEYS = (
    *(
        "int2",
        "int4",
        "int8",
        "numeric",
        "float4",
        "float8",
        "oid",
        "money",
        "bool",
        "text",
        "varchar",
        "bpchar",
        "name",
    ),
    *("bytea", "date", "time", "timestamp", "timestamptz", "uuid", "inet", "cidr", "macaddr", "macaddr8", "pg_lsn"),
    *("bit", "varbit"),
)


@dataclass(frozen=True)
class Present:
    """A relation that the warehouse has: its kind, its columns and their types, and its comment."""

    name: str
    kind: str
    columns: Sequence[str]
    types: Sequence[str]
    comment: str | None


@dataclass(frozen=True)
class Missing:
    """A type that the source has and the warehouse has not, and a column that is text for it."""

    table: str
    column: str
    type: str


def statements_of(connection: psycopg.Connection, model: Mirror) -> list[str]:
    """List the statements that give a warehouse the tables of a mirror as they are to be now.

    Raises:
        ConfigError: a name is taken by what Tidemark did not make, or something depends on a view that has to change.
    """
    stars = {name: star for name, star in model.stars.items() if star.mirror}
    tables = _relations(connection, stars, [star.place for star in stars.values()])
    views = _relations(connection, stars, [star.view for star in stars.values()])
    functions = _functions(connection, stars)
    known = _types(connection, model)
    schemas = {star.place[0] for star in stars.values()}
    there = {row[0] for row in connection.execute(query("mirror", "schemas"), {"schemas": list(schemas)})}
    made = [
        query("mirror", "create_schema", schema=sql.Identifier(schema)).as_string()
        for schema in sorted(schemas - there)
    ]
    wanted = [
        _Table(star, known, tables.get(name), views.get(name), is_function_there=name in functions)
        for name, star in stars.items()
    ]
    for each in wanted:
        each.require_ours()
    remade = [each for each in wanted if each.changed]
    retyped = [(sql.Identifier(*each.star.place).as_string(), column) for each in remade for column in each.changed]
    require_free(connection, retyped, [each.view_reference for each in remade], list(functions.values()))
    for each in wanted:
        made += [statement.as_string() for statement in each.statements()]
        if each.changed:
            made += rights_of(connection, [each.view_reference])
            made += rights_of_functions(connection, [each.function_reference])
    return made


def missing_types(connection: psycopg.Connection, model: Mirror) -> list[Missing]:
    """Name the columns that are text in the warehouse because it lacks their types."""
    known = _types(connection, model)
    return [
        Missing(name, column, kind)
        for name, table in model.tables.items()
        for column, kind in table.columns.items()
        if not known[kind][0]
    ]


def function_name(table: MirroredTable) -> str:
    """Name the function of a table's rows as of a moment."""
    return fitted(table.table, AS_OF)


@dataclass(frozen=True)
class _Table:
    """One mirrored table: what the warehouse has of it, and what it is to have."""

    star: StarTable
    known: Mapping[str, tuple[bool, bool]]
    table: Present | None
    view: Present | None
    is_function_there: bool

    @property
    def mirror(self) -> MirroredTable:
        assert self.star.mirror is not None  # noqa: S101 -- the stars of a mirror have one
        return self.star.mirror

    @property
    def types(self) -> dict[str, str]:
        """Give the type of each column of the source in the table of versions, by its name there."""
        names = history_columns(self.mirror)
        return {names[column]: self._type(column, kind) for column, kind in self.mirror.columns.items()}

    def _type(self, column: str, kind: str) -> str:
        is_known, is_fit_for_keys = self.known[kind]
        is_key = column in self.mirror.key
        return kind if is_known and (is_fit_for_keys or not is_key) else TEXT

    def require_ours(self) -> None:
        """Raise ConfigError if the warehouse has something else under one of the names."""
        wrong = []
        if self.table and not set(HISTORY) <= set(self.table.columns):
            wrong.append(".".join(self.star.place))
        if self.view and self.view.kind != "v":
            wrong.append(".".join(self.star.view))
        if wrong:
            message = f"the warehouse has a {' and a '.join(wrong)} that is not of a mirror"
            advice = "let the mirror go into another database, or exclude the table"
            raise ConfigError(message, advice=advice, table=self.star.name)

    @property
    def view_reference(self) -> str:
        """Name the view as PostgreSQL's to_regclass takes it."""
        return sql.Identifier(*self.star.view).as_string()

    @property
    def function_reference(self) -> str:
        """Name the function as PostgreSQL's to_regprocedure takes it."""
        return f"{self._parts['function'].as_string()}(timestamp)"

    @cached_property
    def changed(self) -> dict[str, str]:
        """Give the columns that need another type, so that they hold what was and what is to come."""
        return {
            name: held
            for name, kind in self.types.items()
            if (before := self._present.get(name, kind)) != TEXT and (held := holding(before, kind)) != before
        }

    @cached_property
    def _present(self) -> dict[str, str]:
        return dict(zip(self.table.columns, self.table.types, strict=True)) if self.table else {}

    def statements(self) -> Iterator[sql.Composed]:
        """Write the statements that are still to be run."""
        if self.table is None:
            yield from self._created()
            yield from self._shown()
            return
        added = {name: kind for name, kind in self.types.items() if name not in self._present}
        changed = self.changed
        if changed:
            # They are made again below.
            yield query("mirror", "drop_function", **self._parts)
            yield query("mirror", "drop_view", **self._parts)
        for name, kind in changed.items():
            yield query("mirror", "change_type", **self._column(name, kind))
        for name, kind in added.items():
            yield query("mirror", "add_column", **self._column(name, kind))
        if added or changed or not (self.view and self.is_function_there):
            yield from self._shown()

    def _created(self) -> Iterator[sql.Composed]:
        columns = sql.SQL(",\n    ").join(
            sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in self.types.items()
        )
        yield query("mirror", "create_table", definitions=columns, **self._parts)
        yield query("mirror", "current_key", **self._parts)
        text = f"Each version of a row of {self._shown_name}. Now: {self._shown_name}, earlier: {self._function}."
        yield query("mirror", "comment_on_table", text=sql.Literal(text), **self._parts)

    def _shown(self) -> Iterator[sql.Composed]:
        """Show the columns of the source under their own names, in the order in which the table has them."""
        fields = {name: column for column, name in history_columns(self.mirror).items()}
        known = [name for name in self.table.columns if name in fields] if self.table else []
        ordered = [*known, *(name for name in fields if name not in known)]
        listed = sql.SQL(", ").join(
            sql.SQL("{} as {}").format(sql.Identifier(name), sql.Identifier(fields[name])) for name in ordered
        )
        yield query("mirror", "view", fields=listed, **self._parts)
        text = f"The live rows of {self._shown_name} as they stand now."
        yield query("mirror", "comment_on_view", text=sql.Literal(text), **self._parts)
        yield query("mirror", "as_of", fields=listed, **self._parts)
        text = f"The live rows of {self._shown_name} as they stood at a moment, given in UTC."
        yield query("mirror", "comment_on_as_of", text=sql.Literal(text), **self._parts)

    def _column(self, name: str, kind: str) -> dict[str, sql.Composable]:
        return {"table": self._parts["table"], "column": sql.Identifier(name), "type": sql.SQL(kind)}

    @property
    def _shown_name(self) -> str:
        return ".".join(self.star.view)

    @property
    def _function(self) -> str:
        return f"{self.mirror.schema}.{function_name(self.mirror)}"

    @property
    def _parts(self) -> dict[str, sql.Composable]:
        return {
            "table": sql.Identifier(*self.star.place),
            "view": sql.Identifier(*self.star.view),
            "function": sql.Identifier(self.mirror.schema, function_name(self.mirror)),
            "key": sql.SQL(", ").join(map(sql.Identifier, self.star.source_key)),
        }


def _relations(
    connection: psycopg.Connection, stars: Mapping[str, StarTable], places: Sequence[Sequence[str]]
) -> dict[str, Present]:
    schemas, tables = [place[0] for place in places], [place[-1] for place in places]
    parameters = {"names": list(stars), "schemas": schemas, "tables": tables}
    with connection.cursor(row_factory=class_row(Present)) as cursor:
        return {each.name: each for each in cursor.execute(query("mirror", "relations"), parameters)}


def _functions(connection: psycopg.Connection, stars: Mapping[str, StarTable]) -> dict[str, str]:
    """Give the functions that are there, as PostgreSQL identifies them, by the names of their tables."""
    mirrors = [star.mirror for star in stars.values() if star.mirror]
    parameters = {
        "names": list(stars),
        "schemas": [mirror.schema for mirror in mirrors],
        "functions": [function_name(mirror) for mirror in mirrors],
    }
    return dict(connection.execute(query("mirror", "functions"), parameters).fetchall())


def _types(connection: psycopg.Connection, model: Mirror) -> dict[str, tuple[bool, bool]]:
    """Say of each type of the source whether the warehouse has it, and whether it can be a key there."""
    types = sorted({kind for table in model.tables.values() for kind in table.columns.values()})
    parameters = {"types": types, "fit_for_keys": list(FIT_FOR_KEYS)}
    with connection.cursor(row_factory=dict_row) as cursor:
        rows = cursor.execute(query("mirror", "types"), parameters).fetchall()
    return {row["type"]: (row["is_known"], row["is_fit_for_keys"]) for row in rows}
