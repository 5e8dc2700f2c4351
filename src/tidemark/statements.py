"""Statements: cutting a file of SQL at the semicolons between them, and knowing what each creates."""

import re
from collections.abc import Iterator

# A literal, a quoted identifier, a dollar-quoted body or a comment holds semicolons that end no statement.
TOKEN = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|(\$\w*\$).*?\1|--[^\n]*|/\*.*?\*/|;", re.DOTALL)
CREATES = re.compile(r"create\s+(?:unique\s+)?(table|index)\s+(?:if\s+not\s+exists\s+)?\"?(\w+)", re.IGNORECASE)


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
    """Give what a statement creates, `table` or `index`, and its name; None for any other statement."""
    found = CREATES.match(bare(statement))
    return (found[1].lower(), found[2]) if found else None


def bare(statement: str) -> str:
    """Take the comments off a statement's beginning."""
    return re.sub(r"^(?:\s|--[^\n]*\n?|/\*.*?\*/)+", "", statement, flags=re.DOTALL)
