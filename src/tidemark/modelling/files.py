"""The files of a new model: model.toml, a SELECT for each star table, and the source's columns."""

from collections.abc import Iterator, Mapping, Sequence

from tidemark.lake.sqltext import select
from tidemark.log.columns import Column
from tidemark.model_source import FILE as SOURCE_FILE
from tidemark.model_source import source_text
from tidemark.modelling.catalogue import Catalogue
from tidemark.modelling.naming import comment, in_toml, names_in_toml, text_in_toml
from tidemark.modelling.star_draft import CALENDAR, DAY, Drafted
from tidemark.tables.names import written

NEXT = ",\n    "
HEADER = """\
# A first star of the database {database}, made from its catalogue by tidemark model new. It runs as it is.
# Each line that says "decide" is a guess for a person to judge.
"""


def files_of(name: str, catalogue: Catalogue, star: Sequence[Drafted]) -> Mapping[str, str]:
    """Write the files of a model by their paths.

    Args:
        name: what the model is to be called.
        catalogue: the source's tables.
        star: the star tables that are made of them.
    """
    found = {"model.toml": _model(name, catalogue, star)}
    for each in star:
        folder = "fact" if each.role.is_fact else "dimension"
        found[f"{folder}/{each.short_name}.sql"] = _select(each)
    if has_calendar(star):
        found["dimension/date.sql"] = f"{select('modelling', 'calendar')}\n"
    found[SOURCE_FILE] = source_text({each.relation.name: each.relation.columns for each in star})
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


def _select(each: Drafted) -> str:
    lines = []
    for column in each.columns:
        source, name = written(column.source.name), written(column.name)
        expression = f"cast({source} as date)" if column.is_day else source
        lines.append(expression if expression == name else f"{expression} as {name}")
    odd = [f"{each.source.name} ({each.source.type})" for each in each.columns if _is_odd(each.source)]
    head = f"-- decide: as PostgreSQL's own text: {comment(', '.join(odd))}\n" if odd else ""
    return "\n".join([f"{head}select", f"    {NEXT.join(lines)}", f"from {written(each.relation.name)}", ""])


def _is_odd(column: Column) -> bool:
    """Say whether a column of another type becomes text."""
    is_text = column.base_type in {"text", "character varying", "character", "bpchar", "name", "uuid"}
    return column.typed == "VARCHAR" and not is_text
