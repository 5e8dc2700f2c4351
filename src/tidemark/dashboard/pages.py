"""Pages: templates filled in with values, every one of them escaped."""

from collections.abc import Callable, Mapping
from functools import cache
from hashlib import sha256
from importlib import resources
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from tidemark.amounts import shown_age, shown_bytes
from tidemark.dashboard import numbers
from tidemark.dashboard.charts import icon, stages_bar
from tidemark.dashboard.lives import written_key
from tidemark.disclosure import visible

STATIC = ("style.css", "dashboard.js", "htmx.min.js", "icon.svg")
# Given the name of a page (`page/sales`; empty for the first) and a query, a link leads there; empty: there is none.
Link = Callable[..., str]


def environment(link: Link, static: Callable[[str], str], *, is_live: bool) -> Environment:
    """Make the templates.

    Args:
        link: where a page lies.
        static: where one of the `STATIC` files lies.
        is_live: whether a server answers, so that filters and forms work.
    """
    made = Environment(
        loader=PackageLoader("tidemark.dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_visible,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals |= {"link": link, "static": static, "is_live": is_live, "icon": icon}
    made.filters |= {
        "shown": numbers.shown,
        "short": numbers.short,
        "plain": numbers.plain,
        "age": shown_age,
        "size": shown_bytes,
        "moment": moment,
        "words": lambda name: str(name).replace("_", " "),
        "written_key": written_key,
        "named_seconds": lambda stage: (stage.stage, stage.seconds),
        "stages_bar": stages_bar,
        "part": lambda text: quote(str(text), safe=""),
    }
    return made


def moment(value: Any) -> str:  # noqa: ANN401 -- whatever a ledger has
    """Write a moment to the second, `-` for none."""
    return f"{value:%Y-%m-%d %H:%M:%S}" if value else "-"


def served(page: str, query: str = "") -> str:
    """Give the address of a page on the server."""
    return f"/{page}{f'?{query}' if query else ''}"


def served_static(name: str) -> str:
    """Give the address of a static file on the server; it changes with the file, so a browser may keep the file."""
    return f"/static/{name}?{digest(name)[:12]}"


@cache
def static_file(name: str) -> bytes:
    """Read a static file."""
    return (resources.files("tidemark.dashboard") / "static" / name).read_bytes()


@cache
def digest(name: str) -> str:
    """Give the SHA-256 of a static file."""
    return sha256(static_file(name)).hexdigest()


def render(made: Environment, template: str, values: Mapping[str, object]) -> str:
    """Fill in a template."""
    return made.get_template(template).render(values)


def _visible(value: object) -> object:
    """Show what would turn or hide the text around it, such as marks of direction, as escapes."""
    return visible(value) if isinstance(value, str) and not isinstance(value, Markup) else value
