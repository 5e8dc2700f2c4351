"""The rights that Tidemark's roles need, as SQL for a person who may grant them."""

from collections.abc import Iterable, Mapping
from typing import Literal

from psycopg import sql

from tidemark.mirror import Mirror
from tidemark.model import Model
from tidemark.postgres.queries import query
from tidemark.warehouse.fact_views import generated

ROLES = {"source": "tidemark_reader", "warehouse": "tidemark_loader"}


def role_sql(model: Model, database: Literal["source", "warehouse"]) -> str:
    """Write the SQL that makes a database's role and grants it only what the model needs; it can be run again."""
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
    return f"{script}\n{query('roles', 'warehouse_views', role=parts['role'], views=_list(views)).as_string()};\n"


def _of_mirror(model: Mirror, database: Literal["source", "warehouse"], parts: Mapping[str, sql.Composable]) -> str:
    """Write the SQL for a mirror, whose tables come and go: it speaks of schemas."""
    schemas = [sql.Identifier(name) for name in model.scope.schemas]
    if database == "source":
        return f"{query('roles', 'source_of_mirror', schemas=_list(schemas), **parts).as_string()};\n"
    each = [
        query("roles", name, schema=schema, **more).as_string()
        for schema in schemas
        for name, more in (("schema_of_mirror", {}), ("rights_on_schema_of_mirror", {"role": parts["role"]}))
    ]
    return ";\n\n".join([query("roles", "warehouse_of_mirror", **parts).as_string(), *each]) + ";\n"


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
