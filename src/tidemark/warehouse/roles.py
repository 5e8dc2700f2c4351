"""The rights that Tidemark's roles need, as SQL for a person who may grant them."""

from collections.abc import Iterable
from typing import Literal

from psycopg import sql

from tidemark.model import Model
from tidemark.postgres.queries import query
from tidemark.warehouse.fact_views import generated

ROLES = {"source": "tidemark_reader", "warehouse": "tidemark_loader"}


def role_sql(model: Model, database: Literal["source", "warehouse"]) -> str:
    """Write the SQL that makes a database's role and grants it only what the model needs; it can be run again."""
    role = ROLES[database]
    parts: dict[str, sql.Composable] = {"role": sql.Identifier(role), "role_name": sql.Literal(role)}
    if database == "source":
        sources = model.sources.values()
        parts["schemas"] = _list(sql.Identifier(name) for name in dict.fromkeys(table.schema for table in sources))
        parts["tables"] = _list(sql.Identifier(table.schema, table.relation) for table in sources)
    else:
        parts["tables"] = _list(map(sql.Identifier, model.stars))
    script = f"{query('roles', database, **parts).as_string()};\n"
    views = [sql.Identifier(each.name) for each in generated(model) if each.kind == "view"]
    if database == "source" or not views:
        return script
    return f"{script}\n{query('roles', 'warehouse_views', role=parts['role'], views=_list(views)).as_string()};\n"


def _list(parts: Iterable[sql.Composable]) -> sql.Composed:
    return sql.SQL(", ").join(parts)
