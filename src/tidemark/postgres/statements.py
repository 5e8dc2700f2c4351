"""Statements: cut SQL at the semicolons between statements, and tell what each statement creates."""

import re
from collections.abc import Iterator

# A literal, a quoted identifier, a dollar-quoted body or a comment holds semicolons that end no statement.
TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|;", re.DOTALL)
NAME = r"(?:\"((?:[^\"]|\"\")+)\"|(\w+))"
CREATES = re.compile(
    rf"create\s+(?:unique\s+)?(table|index)\s+(?:concurrently\s+)?(?:if\s+not\s+exists\s+)?(?:on\s|{NAME})",
    re.IGNORECASE,
)
DEFINES = re.compile(rf"create\s+(?:or\s+replace\s+)?(?:materialized\s+)?(view|function)\s+{NAME}", re.IGNORECASE)
MAKES_VIEW = re.compile(rf"create\s+(?:or\s+replace\s+)?view\s+{NAME}", re.IGNORECASE)
MAKES_TYPE = re.compile(rf"create\s+(?:type|domain)\s+{NAME}", re.IGNORECASE)
# What a table may need before it can be made.
EARLY = re.compile(r"create\s+(?:type|domain|extension|schema|sequence|collation|cast|operator)\b", re.IGNORECASE)
# What is made, without what it is made of.
HEADLINE = re.compile(r"(?:create (?!unique|index)|comment |insert ).+?(?= \(| as | returns | is ['n])", re.IGNORECASE)
HEADLINE_LETTERS = 100
REPLACES = re.compile(r"create\s+or\s+replace\b", re.IGNORECASE)


def split_statements(text: str) -> Iterator[str]:
    """Cut SQL into statements at the semicolons between them; comments stay with the statement that they precede."""
    start = 0
    for found in TOKEN.finditer(text):
        if found[0] == ";":
            yield text[start : found.start()].strip()
            start = found.end()
    rest = text[start:].strip()
    if bare(rest):
        yield rest


def created(statement: str) -> tuple[str, str] | None:
    """Give what a statement creates, `table` or `index`, and its name; None for any other statement.

    An index may have no name: then PostgreSQL makes one up.
    """
    found = CREATES.match(bare(statement))
    return (found[1].lower(), _name(found[2], found[3])) if found else None


def defined(statement: str) -> tuple[str, str] | None:
    """Give what a statement defines over tables, `view` or `function`, and its name; None for any other statement."""
    found = DEFINES.match(bare(statement))
    return (found[1].lower(), _name(found[2], found[3])) if found else None


def made_view(statement: str) -> str | None:
    """Give the name of the view that a statement creates or replaces; None for any other statement."""
    found = MAKES_VIEW.match(bare(statement))
    return _name(found[1], found[2]) if found else None


def made_type(statement: str) -> str | None:
    """Give the name of the type or domain that a statement creates; None for any other statement."""
    found = MAKES_TYPE.match(bare(statement))
    return _name(found[1], found[2]) if found else None


def replaces(statement: str) -> bool:
    """Say whether a statement replaces what it creates, if that is there already."""
    return bool(REPLACES.match(bare(statement)))


def headline(statement: str) -> str:
    """Say in a few words what a statement does."""
    words = " ".join(bare(statement).split())
    found = HEADLINE.match(words)
    words = found[0] if found else words
    return words if len(words) <= HEADLINE_LETTERS else f"{words[: HEADLINE_LETTERS - 1]}…"


def bare(statement: str) -> str:
    """Take the comments off a statement's beginning."""
    return re.sub(r"^(?:\s|--[^\n]*\n?|/\*.*?\*/)+", "", statement, flags=re.DOTALL)


def _name(quoted: str | None, plain: str | None) -> str:
    return (plain or "").lower() if quoted is None else quoted.replace('""', '"')
