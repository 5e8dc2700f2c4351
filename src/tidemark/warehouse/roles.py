"""The rights that Tidemark's roles need, as SQL for a person who may grant them."""

from collections.abc import Iterable, Mapping
from typing import Literal

from psycopg import sql

from tidemark.mirror import Mirror
from tidemark.model import Model
from tidemark.postgres.queries import query
from tidemark.warehouse.fact_views import generated

Whose = Literal["source", "warehouse", "dashboard"]
ROLES: Mapping[Whose, str] = {
    "source": "tidemark_reader",
    "warehouse": "tidemark_loader",
    "dashboard": "tidemark_dashboard",
}


def role_sql(model: Model, database: Whose) -> str:
    """Write the SQL that makes a role and grants it only what the model needs; it can be run again.

    The role is that of a database or, for `dashboard`, another one of the warehouse, which only reads.
    """
    role = ROLES[database]
    parts: dict[str, sql.Composable] = {"role": sql.Identifier(role), "role_name": sql.Literal(role)}
    if isinstance(model, Mirror):
        return _of_mirror(model, database, parts)
    if database == "source":
        sources = model.polled.values()
        parts["schemas"] = _list(sql.Identifier(name) for name in dict.fromkeys(table.schema for table in sources))
        parts["tables"] = _list(sql.Identifier(table.schema, table.relation) for table in sources)
    else:
        parts["tables"] = _list(sql.Identifier(*star.place) for star in model.stars.values())
    script = f"{query('roles', database, **parts).as_string()};\n"
    views = [sql.Identifier(each.name) for each in generated(model) if each.kind == "view"]
    if database == "source" or not views:
        return script
    # The functions as of a moment run with the rights of who calls them, and anybody may call them.
    return f"{script}\n{query('roles', 'warehouse_views', role=parts['role'], views=_list(views)).as_string()};\n"


def _of_mirror(model: Mirror, database: Whose, parts: Mapping[str, sql.Composable]) -> str:
    """Write the SQL for a mirror, whose tables come and go: it speaks of schemas."""
    schemas = [sql.Identifier(name) for name in model.scope.schemas]
    if database != "warehouse":
        name = "source_of_mirror" if database == "source" else "dashboard_of_mirror"
        return f"{query('roles', name, schemas=_list(schemas), **parts).as_string()};\n"
    each = [
        query("roles", name, schema=schema, **more).as_string()
        for schema in schemas
        for name, more in (("schema_of_mirror", {}), ("rights_on_schema_of_mirror", {"role": parts["role"]}))
    ]
    return ";\n\n".join([query("roles", "warehouse_of_mirror", **parts).as_string(), *each]) + ";\n"


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
