"""The star as a picture: lines of text for a terminal, and a diagram in Mermaid's language, which GitHub draws."""

import re
from collections.abc import Iterator, Mapping

from tidemark.model import Model, StarTable

PLAIN = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def as_text(model: Model) -> str:
    """Draw a star for a terminal."""
    counts = {"source table": len(model.sources), "fact": len(model.facts), "dimension": len(model.dimensions)}
    shown = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items())
    blocks = [f"{model.name}: {shown}", *(_fact(fact) for fact in model.facts)]
    blocks.append("\n".join(_aligned(_dimension(each) for each in model.dimensions)))
    blocks.append("\n".join(["source tables", *(f"  {line}" for line in _aligned(_sources(model)))]))
    return "\n\n".join(block for block in blocks if block) + "\n"


def _fact(fact: StarTable) -> str:
    """Write a fact with an arrow to each of its dimensions."""
    lines = [f"{fact.name}  ({', '.join(fact.key)}): a version for each change of {_driving(fact)}"]
    joined = [name for name in fact.reads if name != fact.driving]
    if joined:
        lines.append(f"  │  reads also {', '.join(joined)}")
    arrows = _aligned((", ".join(columns), f"──▶ {name}") for name, columns in _by_dimension(fact).items())
    for at, arrow in enumerate(arrows, start=1):
        lines.append(f"  {'└' if at == len(arrows) else '├'}─ {arrow}")
    return "\n".join(lines)


def _driving(fact: StarTable) -> str:
    return f"{fact.driving} ({', '.join(fact.source_key)})"


def _by_dimension(fact: StarTable) -> Mapping[str, list[str]]:
    found: dict[str, list[str]] = {}
    for column, dimension in fact.references.items():
        found.setdefault(dimension, []).append(column)
    return found


def _dimension(star: StarTable) -> tuple[str, str]:
    named = f"{star.name}  ({', '.join(star.key)})"
    return (
        named,
        "every day of the years that facts name" if star.kind == "calendar" else f"◀── {', '.join(star.reads)}",
    )


def _sources(model: Model) -> Iterator[tuple[str, str]]:
    for table in model.sources.values():
        place = "" if table.schema == "public" else f"{table.schema}."
        says = f"changed: {table.updated}" if table.updated else "found by the sweep alone"
        yield f"{place}{table.name}  ({', '.join(table.key)})", says


def _aligned(rows: Iterator[tuple[str, str]]) -> list[str]:
    found = list(rows)
    width = max((len(left) for left, _ in found), default=0)
    return [f"{left:<{width}}  {right}" for left, right in found]


def as_mermaid(model: Model) -> str:
    """Draw a star as an `erDiagram`: its tables with their keys, and a line for each reference."""
    names = {name: name if PLAIN.fullmatch(name) else f't{at}["{_text(name)}"]' for at, name in enumerate(model.stars)}
    lines = ["erDiagram"]
    for star in model.stars.values():
        lines += [f"    {names[star.name]} {{", *(f"        {row}" for row in _attributes(star)), "    }"]
    for fact in model.facts:
        for column, dimension in fact.references.items():
            here, there = (names[name].partition("[")[0] for name in (fact.name, dimension))
            lines.append(f'    {here} }}o--|| {there} : "{_text(column)}"')
    return "\n".join(lines) + "\n"


def _attributes(star: StarTable) -> Iterator[str]:
    """Give the columns by which one finds a row, each with what it is."""
    yield from (f"key {_word(name)} PK" for name in star.key)
    yield from (f"source {_word(name)} UK" for name in star.source_key if name not in star.references)
    yield from (f"reference {_word(name)} FK" for name in star.references)


def _word(name: str) -> str:
    """Write a column's name as Mermaid takes it there, which has no quotes for it."""
    word = re.sub(r"[^\w-]", "_", name, flags=re.ASCII)
    return word if PLAIN.match(word) else f"c{word}"


def _text(name: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in name).replace('"', "#quot;")
