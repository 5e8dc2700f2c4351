"""Lineage: which column of the source each column of a SELECT is, and whether it can be null.

It reads the tree that DuckDB makes of a SELECT, so nothing here parses SQL. Where it does not understand the tree, it
says that it does not know, and never guesses: a column of unknown origin may be null.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

# These give null only if one of their arguments is null. A cast, which fails rather than give null, is no function.
STRICT = {
    *("+", "-", "*", "||", "abs", "ceil", "date_diff", "date_part", "date_trunc", "day", "dayname", "floor", "hour"),
    *("isodow", "left", "length", "lower", "lpad", "ltrim", "minute", "month", "monthname", "quarter", "replace"),
    *("right", "round", "rpad", "rtrim", "second", "strftime", "substr", "substring", "trim", "upper", "year"),
}
# By a divisor that is not zero, these are strict as well.
DIVISIONS = {"/", "//", "%", "mod"}
COUNTS = {"count", "count_star"}
NEVER_NULL = {"OPERATOR_IS_NULL", "OPERATOR_IS_NOT_NULL", "COMPARE_DISTINCT_FROM", "COMPARE_NOT_DISTINCT_FROM"}


@dataclass(frozen=True)
class Yielded:
    """A column of a table or of a SELECT; `origin` is the source's table and column whose values it has as they are."""

    name: str
    origin: tuple[str, str] | None = None
    is_required: bool = False


Columns = tuple[Yielded, ...]


@dataclass(frozen=True)
class _Relation:
    """What stands in FROM under one name; `columns` is None where they are unknown."""

    name: str
    columns: Columns | None


class _UnknownError(Exception):
    """The tree has something whose columns cannot be told."""


def lineage(node: Mapping[str, Any], tables: Mapping[str, Columns]) -> Columns | None:
    """Give the columns of a SELECT in their order; None if they cannot be told.

    Args:
        node: the SELECT's node in DuckDB's tree.
        tables: what it may read, by name in lower case.
    """
    try:
        return _query(node, tables)
    except (_UnknownError, KeyError):
        # Another DuckDB may write another tree.
        return None


def _query(node: Mapping[str, Any], tables: Mapping[str, Columns | None]) -> Columns:
    known = dict(tables)
    for each in node["cte_map"]["map"]:
        name, cte = str(each["key"]).lower(), each["value"]
        try:
            known[name] = _renamed(_query(cte["query_node"], known), cte["aliases"])
        except _UnknownError:
            known[name] = None
    if node["type"] == "SET_OPERATION_NODE":
        return _united(node, known)
    if node["type"] != "SELECT_NODE":
        raise _UnknownError
    relations = tuple(_from(node["from_table"], known))
    found: list[Yielded] = []
    for item in node["select_list"]:
        if item["class"] == "STAR":
            found += _starred(item, relations)
        else:
            found.append(_column(item, relations, found))
    # Each set but the whole leaves columns out, which are null then.
    return tuple(replace(each, is_required=False) for each in found) if len(node["group_sets"]) > 1 else tuple(found)


def _united(node: Mapping[str, Any], known: Mapping[str, Columns | None]) -> Columns:
    parts = [_query(child, known) for child in node["children"]]
    if "BY_NAME" in str(node["setop_type"]) or len({len(part) for part in parts}) != 1:
        raise _UnknownError
    return tuple(
        Yielded(
            same[0].name,
            same[0].origin if len({each.origin for each in same}) == 1 else None,
            all(each.is_required for each in same),
        )
        for same in zip(*parts, strict=True)
    )


def _from(item: Mapping[str, Any], known: Mapping[str, Columns | None]) -> Iterator[_Relation]:
    kind, alias = item["type"], str(item["alias"])
    if kind == "JOIN":
        yield from _joined(item, known)
    elif kind == "BASE_TABLE":
        name = str(item["table_name"])
        columns = known.get(name.lower())
        yield _Relation((alias or name).lower(), columns and _renamed(columns, item["column_name_alias"]))
    elif kind == "SUBQUERY":
        try:
            columns = _renamed(_query(item["subquery"]["node"], known), item["column_name_alias"])
        except _UnknownError:
            columns = None
        yield _Relation(alias.lower(), columns)
    elif kind != "EMPTY":
        yield _Relation(alias.lower(), None)


def _joined(item: Mapping[str, Any], known: Mapping[str, Columns | None]) -> Iterator[_Relation]:
    kind = "FULL" if item["ref_type"] == "POSITIONAL" else item["join_type"]
    if item["ref_type"] == "NATURAL" or (item["using_columns"] and kind in ("RIGHT", "FULL")):
        raise _UnknownError
    for each in _from(item["left"], known):
        yield _weakened(each) if kind not in ("INNER", "LEFT", "SEMI", "ANTI") else each
    if kind not in ("SEMI", "ANTI"):
        for each in _from(item["right"], known):
            own = _without(each, item["using_columns"])
            yield _weakened(own) if kind not in ("INNER", "RIGHT") else own


def _weakened(relation: _Relation) -> _Relation:
    """Let all columns be null, as an outer join does."""
    columns = relation.columns and tuple(replace(each, is_required=False) for each in relation.columns)
    return replace(relation, columns=columns)


def _without(relation: _Relation, names: Sequence[str]) -> _Relation:
    """Take out the columns that USING has from the left side alone."""
    lower = {name.lower() for name in names}
    columns = relation.columns and tuple(each for each in relation.columns if each.name.lower() not in lower)
    return replace(relation, columns=columns)


def _renamed(columns: Columns, names: Sequence[str]) -> Columns:
    """Give the first columns these names."""
    return (*(replace(each, name=name) for each, name in zip(columns, names, strict=False)), *columns[len(names) :])


def _starred(item: Mapping[str, Any], relations: Sequence[_Relation]) -> Iterator[Yielded]:
    others = ("replace_list", "rename_list", "qualified_exclude_list", "columns", "expr")
    if any(item[other] for other in others):
        raise _UnknownError
    left_out = {str(name).lower() for name in item["exclude_list"]}
    for relation in relations:
        if item["relation_name"] and item["relation_name"].lower() != relation.name:
            continue
        if relation.columns is None:
            raise _UnknownError
        yield from (each for each in relation.columns if each.name.lower() not in left_out)


def _column(item: Mapping[str, Any], relations: Sequence[_Relation], before: Sequence[Yielded]) -> Yielded:
    name = str(item["alias"] or (item["column_names"][-1] if item["class"] == "COLUMN_REF" else ""))
    found = _referred(item, relations, before)
    return replace(found, name=name) if found else Yielded(name, None, _is_required(item, relations, before))


def _referred(item: Mapping[str, Any], relations: Sequence[_Relation], before: Sequence[Yielded]) -> Yielded | None:
    """Find the column that an expression is; a name that no table has may be one that the same SELECT gave before."""
    if item["class"] != "COLUMN_REF":
        return None
    *places, column = (str(name).lower() for name in item["column_names"])
    within = [each for each in relations if not places or each.name == places[-1]]
    for relation in within:
        for each in relation.columns or ():
            if each.name.lower() == column:
                return each
    if places or any(relation.columns is None for relation in within):
        return None
    return next((each for each in before if each.name.lower() == column), None)


def _is_required(item: Mapping[str, Any], relations: Sequence[_Relation], before: Sequence[Yielded]) -> bool:
    """Say whether an expression is never null."""
    kind = item["class"]
    if kind == "COLUMN_REF":
        found = _referred(item, relations, before)
        return found is not None and found.is_required
    if kind == "CONSTANT":
        return str(item["literal"]["kind"]) != "NULL_LITERAL"
    if item["type"] in NEVER_NULL:
        return True
    if kind == "FUNCTION" and item["function_name"] in COUNTS:
        return True
    if kind == "FUNCTION" and item["function_name"] in DIVISIONS and not _is_number(_arguments(item)[-1]):
        return False
    parts = [_is_required(each, relations, before) for each in _parts(item)]
    return any(parts) if item["type"] == "OPERATOR_COALESCE" else bool(parts) and all(parts)


def _parts(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the expressions none of which may be null for an expression not to be; none if that is not known."""
    kind = item["class"]
    if kind == "CAST":
        return [] if item["try_cast"] else [item["child"]]
    if kind == "FUNCTION" and item["function_name"] in STRICT | DIVISIONS:
        return _arguments(item)
    if kind == "CASE":
        return [*(each["then_expr"] for each in item["case_checks"]), item["else_expr"]]
    if kind == "COMPARISON":
        return [item["left"], item["right"]]
    if kind == "CONJUNCTION" or item["type"] in ("OPERATOR_COALESCE", "OPERATOR_NOT"):
        return list(item["children"])
    return []


def _arguments(item: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return [each["expression"] for each in item["arguments"]]


def _is_number(item: Mapping[str, Any]) -> bool:
    """Say whether an expression is a number that is written there and is not zero."""
    text = str(item["literal"].get("text", "")) if item["class"] == "CONSTANT" else ""
    return text.strip("0.-") != "" and text.replace(".", "", 1).isdigit()
