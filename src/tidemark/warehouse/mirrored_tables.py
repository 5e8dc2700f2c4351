"""The warehouse's tables of a mirror: each source table's versions, a view of the live rows, a function as of a moment.

They follow the source: a new column comes to the end, a type becomes wider, and nothing is ever dropped but a view that
is made again at once.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import cast

import psycopg
from psycopg import errors, sql
from psycopg.rows import class_row

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
# Beside the names of objects (regclass and its like), the types whose texts another database may be unable to read.
BOUND_TO_A_DATABASE = ("aclitem", "pg_node_tree", "pg_ndistinct", "pg_dependencies", "pg_mcv_list")
XML = ("xml", "xml[]")


@dataclass(frozen=True)
class Present:
    """A relation that the warehouse has: its kind, its columns and their types, and its comment."""

    name: str
    kind: str
    columns: Sequence[str]
    types: Sequence[str]
    comment: str | None


@dataclass(frozen=True)
class KnownType:
    """A type of the source: whether the warehouse has it, whether its values mean the same there, and as a key."""

    type: str
    is_there: bool
    is_free: bool
    is_fit_for_keys: bool


@dataclass(frozen=True)
class Missing:
    """A column that is text in the warehouse though its type is another one; `is_there` says whether that is there."""

    table: str
    column: str
    type: str
    is_there: bool


def statements_of(connection: psycopg.Connection, model: Mirror) -> list[str]:
    """List the statements that give a warehouse the tables of a mirror as they are to be now.

    Raises:
        ConfigError: a name is taken by what Tidemark did not make, or something depends on a view that has to change.
    """
    stars = {name: star for name, star in model.stars.items() if star.mirror}
    tables = _tables(connection, model, stars)
    schemas = {star.place[0] for star in stars.values()}
    there = {row[0] for row in connection.execute(query("mirror", "schemas"), {"schemas": list(schemas)})}
    made = [
        query("mirror", "create_schema", schema=sql.Identifier(schema)).as_string()
        for schema in sorted(schemas - there)
    ]
    return made + _written(connection, tables)


def loosened(connection: psycopg.Connection, model: Mirror, star: StarTable) -> list[str]:
    """Make text of a table's columns whose types its users made, and name these columns.

    Their type in the source may have got a value, or a part, that it has not got in the warehouse.
    """
    place = {"table": sql.Identifier(*star.place).as_string()}
    names = [row[0] for row in connection.execute(query("mirror", "columns_of_users_types"), place)]
    if names:
        (table,) = _tables(connection, model, {star.name: star})
        for statement in _written(connection, [replace(table, loosened=frozenset(names))]):
            connection.execute(statement.encode())
    return names


def _written(connection: psycopg.Connection, tables: Sequence["_Table"]) -> list[str]:
    """Write the statements that tables still need; whose view is made again, keeps its rights."""
    for each in tables:
        each.require_ours()
    remade = [each for each in tables if each.changed]
    retyped = [(sql.Identifier(*each.star.place).as_string(), column) for each in remade for column in each.changed]
    own = [each.function for each in tables if each.function]
    require_free(connection, retyped, [each.view_reference for each in remade], own)
    made = []
    for each in tables:
        made += [statement.as_string() for statement in each.statements()]
        if each.changed:
            made += rights_of(connection, [each.view_reference])
            made += rights_of_functions(connection, [each.function_reference])
    return made


def missing_types(connection: psycopg.Connection, model: Mirror) -> list[Missing]:
    """Name the columns that are text in the warehouse because it lacks their types, or lacked them or a value once."""
    found = []
    for table in _tables(connection, model, model.stars):
        present = dict(zip(table.table.columns, table.table.types, strict=True)) if table.table else {}
        for column, name in history_columns(table.mirror).items():
            kind = table.mirror.columns[column]
            known, wanted = table.known[kind], table.types[name]
            if (known.is_free and not known.is_there) or present.get(name, wanted) == TEXT != wanted:
                found.append(Missing(table.star.name, column, kind, known.is_there))
    return found


def function_name(table: MirroredTable) -> str:
    """Name the function of a table's rows as of a moment."""
    return fitted(table.table, AS_OF)


@dataclass(frozen=True)
class _Table:
    """One mirrored table: what the warehouse has of it, and what it is to have."""

    star: StarTable
    known: Mapping[str, KnownType]
    table: Present | None
    view: Present | None
    function: str | None
    loosened: frozenset[str] = frozenset()

    @property
    def mirror(self) -> MirroredTable:
        return cast("MirroredTable", self.star.mirror)

    @property
    def types(self) -> dict[str, str]:
        """Give the type of each column of the source in the table of versions, by its name there."""
        names = history_columns(self.mirror)
        types = {names[column]: self._type(column, kind) for column, kind in self.mirror.columns.items()}
        return types | dict.fromkeys(self.loosened, TEXT)

    def _type(self, column: str, kind: str) -> str:
        known = self.known[kind]
        is_fit = known.is_fit_for_keys or column not in self.mirror.key
        return kind if known.is_there and known.is_free and is_fit else TEXT

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
        if added or changed or not (self.view and self.function):
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


def _tables(connection: psycopg.Connection, model: Mirror, stars: Mapping[str, StarTable]) -> list[_Table]:
    tables = _relations(connection, stars, [star.place for star in stars.values()])
    views = _relations(connection, stars, [star.view for star in stars.values()])
    functions = _functions(connection, stars)
    known = _types(connection, model)
    return [_Table(star, known, tables.get(name), views.get(name), functions.get(name)) for name, star in stars.items()]


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


def _types(connection: psycopg.Connection, model: Mirror) -> dict[str, KnownType]:
    """Say of each type of the source what the warehouse has of it."""
    types = sorted({kind for table in model.tables.values() for kind in table.columns.values()})
    parameters = {
        "types": types,
        "fit_for_keys": list(FIT_FOR_KEYS),
        "bound_to_a_database": list(BOUND_TO_A_DATABASE),
    }
    with connection.cursor(row_factory=class_row(KnownType)) as cursor:
        found = cursor.execute(query("mirror", "types"), parameters).fetchall()
    unread = XML if not set(types).isdisjoint(XML) and not _reads_xml(connection) else ()
    return {each.type: replace(each, is_there=each.is_there and each.type not in unread) for each in found}


def _reads_xml(connection: psycopg.Connection) -> bool:
    try:
        with connection.transaction():
            connection.execute(query("mirror", "read_xml"))
    except errors.FeatureNotSupported:
        return False
    return True
