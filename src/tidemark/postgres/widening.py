"""Which type of PostgreSQL holds all values of another one, and which holds those of both; spelt as it spells them."""

import re

TEXT = "text"
# Each integer type, and the types that have all of its values.
WIDER = {"smallint": {"integer", "bigint", "numeric"}, "integer": {"bigint", "numeric"}, "bigint": {"numeric"}}
# What holds the values of such types as they are, whatever their modifiers.
CHANGED_BY_WIDENING = {"numeric": "numeric", "character": "bpchar"}


def widens(before: str, after: str) -> bool:
    """Say whether every value of a type is one of another type, too."""
    base_before, base_after = _without_modifier(before), _without_modifier(after)
    if base_after in WIDER.get(before, set()) and "(" not in after:
        return True
    if base_before == "character varying" and after in ("character varying", TEXT):
        return True
    if base_before != base_after or "(" not in before:
        return False
    if "(" not in after:
        return True
    old, new = ([int(part) for part in re.findall(r"-?\d+", kind)] for kind in (before, after))
    if base_before.startswith("numeric"):
        (old_digits, old_scale), (new_digits, new_scale) = (*old, 0)[:2], (*new, 0)[:2]
        return new_scale >= old_scale and new_digits - new_scale >= old_digits - old_scale
    return new[0] >= old[0]


def holding(before: str, now: str) -> str:
    """Name the type that holds what a column was and what it is, each value as it was; `before` may be empty."""
    if not before or before == now:
        return now
    was, is_now = _without_modifier(before), _without_modifier(now)
    if was == is_now and was in CHANGED_BY_WIDENING:
        # In a wider type 1.50 becomes 1.500, and 'a ' becomes 'a  '.
        is_same = was == "numeric" and _scale(before) == _scale(now)
        return (now if widens(before, now) else before) if is_same else CHANGED_BY_WIDENING[was]
    if widens(before, now) or widens(now, before):
        return now if widens(before, now) else before
    return "numeric" if {was, is_now} <= {*WIDER, "numeric"} else TEXT


def _without_modifier(kind: str) -> str:
    base = re.sub(r"\([^)]*\)", "", kind)
    return "character" if base == "bpchar" else base


def _scale(kind: str) -> int | None:
    digits = re.findall(r"-?\d+", kind)
    return int([*digits, "0"][1]) if digits else None
