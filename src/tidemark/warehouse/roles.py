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
# Why each role reads the views.
VIEWS: Mapping[Whose, str] = {"warehouse": "warehouse_views", "dashboard": "dashboard_views"}
# What only roles that read are held to.
LIMITS: Mapping[Whose, str] = {"source": "limits_of_source", "dashboard": "limits_of_dashboard"}


def role_sql(model: Model, database: Whose) -> str:
    """Write the SQL that makes a role and grants it only what the model needs; it can be run again.

    The role is that of a database or, for `dashboard`, another one of the warehouse, which only reads.
    """
    role = sql.Identifier(ROLES[database])
    rights = _of_mirror(model, database, role) if isinstance(model, Mirror) else _of_model(model, database, role)
    made = query("roles", "role", role=role, role_name=sql.Literal(ROLES[database]))
    limits = [query("roles", LIMITS[database], role=role)] if database in LIMITS else []
    return "".join(f"{each.as_string()};\n\n" for each in (made, *rights, *limits)).removesuffix("\n")


def _of_model(model: Model, database: Whose, role: sql.Identifier) -> list[sql.Composed]:
    """Write what the role may do where the tables are known."""
    if database == "source":
        sources = model.polled.values()
        schemas = _list(sql.Identifier(name) for name in dict.fromkeys(table.schema for table in sources))
        tables = _list(sql.Identifier(table.schema, table.relation) for table in sources)
        return [query("roles", "source", role=role, schemas=schemas, tables=tables)]
    tables = _list(sql.Identifier(*star.place) for star in model.stars.values())
    rights = [query("roles", database, role=role, role_name=sql.Literal(ROLES[database]), tables=tables)]
    views = [sql.Identifier(each.name) for each in generated(model) if each.kind == "view"]
    # The functions as of a moment run with the rights of who calls them, and anybody may call them.
    return rights + ([query("roles", VIEWS[database], role=role, views=_list(views))] if views else [])


def _of_mirror(model: Mirror, database: Whose, role: sql.Identifier) -> list[sql.Composed]:
    """Write what the role may do with a mirror, whose tables come and go: it speaks of schemas."""
    schemas = [sql.Identifier(name) for name in model.scope.schemas]
    if database == "source":
        return [query("roles", "source_of_mirror", role=role, schemas=_list(schemas))]
    if database == "dashboard":
        return [query("roles", "dashboard_of_mirror", role=role, schemas=_list(schemas))]
    rights = [query("roles", "warehouse_of_mirror", role_name=sql.Literal(ROLES[database]))]
    for schema in schemas:
        rights.append(query("roles", "schema_of_mirror", schema=schema))
        rights.append(query("roles", "rights_on_schema_of_mirror", schema=schema, role=role))
    return rights


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
