"""The picture of a star: its facts in the middle, the dimensions on both sides, and a line for each reference."""

from collections.abc import Iterator, Sequence
from html import escape

from tidemark.model import Model, StarTable

BOX, GAP, ROW, TOP = (190, 52), 110, 74, 16
SIDES = (14, 14 + BOX[0] + GAP, 14 + 2 * (BOX[0] + GAP))
WIDTH = SIDES[2] + BOX[0] + 14
INK, SOFT, LINE = "#1f2937", "#64748b", "#94a3b8"
FACT, DIMENSION = ("#eff6ff", "#1d4ed8"), ("#f0fdf4", "#15803d")


def picture(model: Model) -> str:
    """Draw the star as SVG."""
    half = (len(model.dimensions) + 1) // 2
    left, right = model.dimensions[:half], model.dimensions[half:]
    height = TOP * 2 + ROW * max(half, len(model.facts)) - (ROW - BOX[1])
    spread = (height - 2 * TOP - BOX[1]) / max(1, len(model.facts) - 1)
    facts = {star.name: TOP + number * spread for number, star in enumerate(model.facts)}
    size = f'viewBox="0 0 {WIDTH} {height:g}" width="{WIDTH}" height="{height:g}" role="img"'
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="system-ui, sans-serif" text-anchor="middle">',
        f"<title>The star of {escape(model.name)}</title>",
        f'<rect x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1:g}" rx="8" fill="#ffffff" stroke="#e2e8f0"/>',
    ]
    for side, dimensions in ((0, left), (2, right)):
        lines += _references(model.facts, facts, dimensions, side)
    for side, dimensions in ((0, left), (2, right)):
        for number, star in enumerate(dimensions):
            lines += _box(star, SIDES[side], TOP + number * ROW, DIMENSION, star.key)
    for star in model.facts:
        lines += _box(star, SIDES[1], facts[star.name], FACT, star.source_key)
    return "\n".join([*lines, "</svg>", ""])


def _box(star: StarTable, x: float, y: float, colours: tuple[str, str], key: Sequence[str]) -> Iterator[str]:
    fill, stroke = colours
    middle = x + BOX[0] / 2
    yield f'<rect x="{x}" y="{y:g}" width="{BOX[0]}" height="{BOX[1]}" rx="6" fill="{fill}" stroke="{stroke}"/>'
    yield f'<text x="{middle:g}" y="{y + 23:g}" fill="{INK}" font-size="15">{escape(star.name)}</text>'
    yield f'<text x="{middle:g}" y="{y + 41:g}" fill="{SOFT}" font-size="12">{escape(", ".join(key))}</text>'


def _references(
    facts: Sequence[StarTable], places: dict[str, float], dimensions: Sequence[StarTable], side: int
) -> Iterator[str]:
    begin, end = (SIDES[1], SIDES[0] + BOX[0]) if side == 0 else (SIDES[1] + BOX[0], SIDES[2])
    for number, dimension in enumerate(dimensions):
        for fact in facts:
            if dimension.name in fact.references.values():
                y, to = places[fact.name] + BOX[1] / 2, TOP + number * ROW + BOX[1] / 2
                bend = (begin + end) / 2
                path = f"M{begin} {y:g} C{bend:g} {y:g} {bend:g} {to:g} {end} {to:g}"
                yield f'<path d="{path}" fill="none" stroke="{LINE}" stroke-width="1.5"/>'
