"""Elements of SVG as text; whatever comes in as a value is escaped, and no element has a style of its own."""

from collections.abc import Sequence

from markupsafe import Markup, escape

from tidemark.disclosure import visible


def element(name: str, *children: object, **attributes: object) -> Markup:
    """Write an element; `_` in an attribute's name stands for `-`, and a trailing one is left out."""
    written = Markup("").join(
        Markup(' {}="{}"').format(key.rstrip("_").replace("_", "-"), _text(value))
        for key, value in attributes.items()
        if value is not None
    )
    body = Markup("").join(escape(_text(child)) for child in children)
    return Markup("<{0}{1}>{2}</{0}>").format(name, written, body)


def picture(parts: Sequence[Markup], *, height: float, kind: str, summary: str) -> Markup:
    """Put the parts of a chart together: as wide as its place, so high in pixels, with words for who cannot see it."""
    return element(
        "svg",
        *parts,
        class_=f"chart {kind}",
        role="img",
        aria_label=summary,
        width="100%",
        height=f"{height:g}",
    )


def percent(part: float) -> str:
    """Write a share of a chart's width, rounded so that equal charts are equal texts."""
    return f"{part * 100:.3f}".rstrip("0").rstrip(".") + "%"


def _text(value: object) -> object:
    return value if isinstance(value, Markup) else visible(str(value))
