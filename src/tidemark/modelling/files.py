"""The files of a new model: model.toml, a SELECT for each star table, and the warehouse's tables."""

from collections.abc import Collection, Iterator, Mapping, Sequence

from tidemark.lake.sqltext import select
from tidemark.log.columns import Column
from tidemark.modelling.catalogue import Catalogue
from tidemark.modelling.naming import comment, in_sql, in_toml, names_in_toml, text_in_toml
from tidemark.modelling.star_draft import CALENDAR, DAY, Drafted

IN_WAREHOUSE = {
    "BOOLEAN": "boolean",
    "DATE": "date",
    "FLOAT": "real",
    "DOUBLE": "double precision",
    "TIMESTAMP": "timestamp",
    "TIMESTAMPTZ": "timestamp with time zone",
}
CALENDAR_TABLE = """create table dim_date (
    date_id date primary key,
    year integer not null,
    quarter integer not null,
    month integer not null,
    month_name text not null,
    day integer not null,
    day_of_week integer not null,
    day_name text not null
);
"""
NEXT = ",\n    "
HEADER = """\
# A first star of the database {database}, made from its catalogue by tidemark model new. It runs as it is.
# Each line that says "decide" is a guess for a person to judge.
"""


def files_of(name: str, catalogue: Catalogue, star: Sequence[Drafted], keywords: Collection[str]) -> Mapping[str, str]:
    """Write the files of a model by their paths.

    Args:
        name: what the model is to be called.
        catalogue: the source's tables.
        star: the star tables that are made of them.
        keywords: what has to be quoted as a name.
    """
    found = {"model.toml": _model(name, catalogue, star)}
    for each in star:
        folder = "fact" if each.role.is_fact else "dimension"
        found[f"{folder}/{each.short_name}.sql"] = _select(each, keywords)
    if has_calendar(star):
        found["dimension/date.sql"] = f"{select('modelling', 'calendar')}\n"
    found["warehouse.sql"] = "\n".join(
        [*([CALENDAR_TABLE] if has_calendar(star) else []), *(_table(each, star, keywords) for each in star)]
    )
    return found


def has_calendar(star: Sequence[Drafted]) -> bool:
    """Say whether a fact refers to a day."""
    return any(CALENDAR in (each.references or {}).values() for each in star)


def _model(name: str, catalogue: Catalogue, star: Sequence[Drafted]) -> str:
    naive = any(column.base_type.endswith("without time zone") for each in star for column in each.relation.columns)
    zone = " # decide: of the timestamps that have none" if naive else ""
    parts = [HEADER.format(database=comment(catalogue.database))]
    parts.append(f'name = {text_in_toml(name)}\ntimezone = "UTC"{zone}\n')
    left_out = [
        f"# left out: {comment('.'.join(place))}: {comment(why)}\n" for place, why in catalogue.left_out.items()
    ]
    parts += ["".join(left_out)] if left_out else []
    parts += ["# Source tables.\n", *("\n".join(_source(each)) + "\n" for each in star)]
    parts.append("# Star tables, dimensions before the facts that name them.\n")
    if has_calendar(star):
        parts.append(f'[star.{CALENDAR}]\nkind = "calendar"\nkey = ["{DAY}"]\n')
    parts += ["\n".join(_star(each)) + "\n" for each in star]
    return "\n".join(parts)


def _source(each: Drafted) -> Iterator[str]:
    relation = each.relation
    if relation.is_filtered:
        yield "# decide: a policy hides rows of it from this role; tidemark doctor says what to do"
    yield f"[source.{in_toml(relation.name)}]"
    if relation.schema != "public":
        yield f"schema = {text_in_toml(relation.schema)}"
    why = "" if relation.is_primary else " # decide: no primary key, but a unique index over it"
    yield f"key = {names_in_toml(relation.key)}{why}"
    if each.created:
        yield f"created = {text_in_toml(each.created.column)} # {comment(each.created.reason)}"
    if each.updated:
        yield f"updated = {text_in_toml(each.updated.column)} # {comment(each.updated.reason)}"
    else:
        yield "# no column says when a row was changed: the sweep alone finds what changed"


def _star(each: Drafted) -> Iterator[str]:
    relation = each.relation
    yield f"# {comment(each.role.reason)}"
    yield f"[star.{in_toml(each.name)}]"
    if not each.role.is_fact:
        yield 'kind = "dimension"'
        yield f"key = {names_in_toml(each.key)}"
        yield f"reads = {names_in_toml([relation.name])}"
        return
    yield 'kind = "fact"'
    yield f"key = {names_in_toml([each.surrogate])}"
    yield f"driving = {text_in_toml(relation.name)}"
    yield f"source_key = {names_in_toml(each.key)}"
    yield f"reads = {names_in_toml([relation.name])}"
    if each.references or each.unreferenced:
        yield ""
    if each.references:
        yield f"[star.{in_toml(each.name)}.references]"
        yield from (f"{in_toml(column)} = {text_in_toml(dimension)}" for column, dimension in each.references.items())
    yield from (f"# no reference: {comment(why)}" for why in each.unreferenced)


def _select(each: Drafted, keywords: Collection[str]) -> str:
    lines = []
    for column in each.columns:
        source, name = in_sql(column.source.name, keywords), in_sql(column.name, keywords)
        expression = f"cast({source} as date)" if column.is_day else source
        lines.append(expression if expression == name else f"{expression} as {name}")
    odd = [f"{each.source.name} ({each.source.type})" for each in each.columns if _is_odd(each.source)]
    head = f"-- decide: as PostgreSQL's own text: {comment(', '.join(odd))}\n" if odd else ""
    return f"{head}select\n    {NEXT.join(lines)}\nfrom {in_sql(each.relation.name, keywords)}\n"


def _is_odd(column: Column) -> bool:
    """Say whether a column of another type becomes text."""
    is_text = column.base_type in {"text", "character varying", "character", "bpchar", "name", "uuid"}
    return column.typed == "VARCHAR" and not is_text


def _table(each: Drafted, star: Sequence[Drafted], keywords: Collection[str]) -> str:
    keys = {dimension.name: dimension.key[0] for dimension in star if not dimension.role.is_fact}
    keys[CALENDAR] = DAY
    rows = [f"{in_sql(each.surrogate, keywords)} bigint primary key"] if each.role.is_fact else []
    for column in each.columns:
        kind = "date" if column.is_day else _type(column.source)
        required = "" if column.source.nullable else " not null"
        dimension = (each.references or {}).get(column.name)
        refers = f" references {in_sql(dimension, keywords)} ({in_sql(keys[dimension], keywords)})" if dimension else ""
        rows.append(f"{in_sql(column.name, keywords)} {kind}{required}{refers}")
    if each.role.is_fact:
        rows += ["valid_from timestamp not null", "is_deleted boolean not null", "batch_id bigint not null"]
        rows.append("valid_to timestamp")
    else:
        rows.append(f"primary key ({', '.join(in_sql(name, keywords) for name in each.key)})")
    return f"create table {in_sql(each.name, keywords)} (\n    {NEXT.join(rows)}\n);\n"


def _type(column: Column) -> str:
    """Give the warehouse's type of a column that comes from the source as it is."""
    if column.base_type in ("numeric", "uuid"):
        is_kept = column.base_type == "uuid" or column.typed.replace(", ", ",") == column.type.replace(
            "numeric", "DECIMAL"
        )
        return column.type.replace(",", ", ") if is_kept else "numeric"
    return IN_WAREHOUSE.get(column.typed, "text" if column.typed == "VARCHAR" else column.typed.lower())
