"""What a message shows: names and the model's keys always, other values if somebody asked for them, no control code.

Errors and log lines go on to terminals, CloudWatch and mails, whose readers need not be those of the data. PostgreSQL
and DuckDB quote values and whole rows in their errors. Each text of theirs passes `told` before it becomes a part of
a message. What a command prints because it was asked to, such as `tidemark quarantine show`, is no message.
"""

import re
import traceback
from collections.abc import Collection, Iterator, Mapping
from typing import ClassVar

HIDDEN = "…"
HOW_TO_SEE = "TIDEMARK_SHOW_VALUES=true shows the values"
# Classes of PostgreSQL's errors that speak of names, rights and the server, but of no row. An error of these classes
# that a function of somebody else has raised may still quote a row.
OF_NO_ROW = ("08", "0A", "25", "28", "2B", "3D", "3F", "40", "42", "53", "54", "55", "57", "58", "HV", "XX")
# Errors that quote rows: those of psycopg without a code, and those of DuckDB.
OF_ROWS = {"DataError", "ConversionException", "OutOfRangeException", "InvalidInputException", "ConstraintException"}
NAMED = r"(?:column|constraint|domain|encoding|enum|file|function|index|relation|schema|table|trigger|type|view)"
NAME = rf"""\b{NAMED}\s(?:"[^"]*"|'[^']*')"""
# A value may hold quotes itself, so it reaches to the last quote, or to the end where that was cut off. The apostrophe
# of a word such as `can't` is none.
TEXT = r"""(?P<text>"(?:.*"|.*)|(?<!\w)'(?:.*'(?!\w)|.*))"""
# Dates and times as well, but not the digits of a type such as INT32 or DECIMAL(4,2), or of bytes such as 0xe9.
NUMBER = r"(?P<number>(?<![\w(,.])[-+]?(?!0x)\d[\w.:+-]*|(?<=\s)\([^()]*\d[^()]*\))"
QUOTED = re.compile(rf"{NAME}|{TEXT}|{NUMBER}", re.DOTALL | re.IGNORECASE)
LITERAL = re.compile(r"'(?:.*'|.*)|\$(\w*)\$(?:.*\$\1\$|.*)", re.DOTALL)
# The line of the server's context that says which function failed and where.
RAISED_BY = re.compile(r"^PL/\w+ function [^\n]*", re.MULTILINE)

# What moves the cursor, colours or hides text, turns its direction or begins a line: control characters (C0 but for tab
# and line feed, DEL, C1), marks of direction, separators of lines, and halves of pairs that no text has.
UNSEEN = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)


# The columns of a key in PostgreSQL's DETAIL, in every language of the server: `(a, b)=(1, 2)`.
KEY = re.compile(r"\((?P<columns>.*?)\)=\(", re.DOTALL)


class _Values:
    are_shown = False
    # The columns that hold keys, by table.
    keys: ClassVar[dict[str, Collection[str]]] = {}


def show_values(*, wanted: bool) -> None:
    """Set whether messages of this process show the values of rows from now on."""
    _Values.are_shown = wanted


def are_values_shown() -> bool:
    """Say whether messages of this process show the values of rows."""
    return _Values.are_shown


def name_keys(keys: Mapping[str, Collection[str]]) -> None:
    """Say which columns of these tables hold keys of the model: messages show these, so that one finds the row."""
    _Values.keys.update(keys)


def with_known_keys(detail: str, table: str | None) -> str:
    """Give the DETAIL of an error about a key; the values of one that is no key of the model are hidden.

    Args:
        detail: the server's text, such as `Key (loan_id)=(17) already exists.`
        table: the table that has the columns; None where it may be any, since a reference names one of two.
    """
    found = KEY.search(detail)
    if found is None or _Values.are_shown:
        return detail
    columns = {name.strip('"').replace('""', '"') for name in found["columns"].split(", ")}
    known = list(_Values.keys.values()) if table is None else [_Values.keys.get(table, ())]
    if any(columns <= set(each) for each in known):
        return detail
    # A value may hold brackets itself. After the last one come names alone.
    return f"{detail[: found.end()]}{HIDDEN}{detail[detail.rindex(')') :]}" if ")" in detail[found.end() :] else ""


def visible(text: str) -> str:
    """Give the text with each control character as its escape, so that a terminal shows it and does not obey it.

    A line feed stays; the lines that follow the first are for the caller to set apart.
    """
    return UNSEEN.sub(_escaped, text)


def in_one_block(text: str) -> str:
    """Give the text as one visible block: a line that a value begins is set in, and so looks like none of ours."""
    return visible(text).replace("\n", "\n    ")


def escaped_in_json(document: str) -> str:
    """Give a JSON document with the control characters escaped that JSON itself lets pass."""
    return UNSEEN.sub(lambda found: f"\\u{ord(found[0]):04x}", document)


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code <= 0xFF else f"\\u{code:04x}"  # noqa: PLR2004 -- what \x can write


def without_values(text: str) -> str:
    """Give the text of another program without what it quotes or counts of a row; what it calls by name stays."""
    return text if _Values.are_shown else QUOTED.sub(_hidden, text)


def with_no_values(message: str) -> str:
    """Give a message of ours as it may be kept or sent on, even by a process whose messages show the values of rows.

    Then names in quotes go too, because nothing tells them from values any more.
    """
    return QUOTED.sub(_hidden, message) if _Values.are_shown else message


def _hidden(found: re.Match[str]) -> str:
    if found["text"]:
        return f"'{HIDDEN}'"
    return HIDDEN if found["number"] else found[0]


def without_literals(statement: str) -> str:
    """Give a statement of somebody else without the texts in it."""
    return statement if _Values.are_shown else LITERAL.sub(f"'{HIDDEN}'", statement)


def told(exc: BaseException) -> str:
    """Give the first line of an error of a library, without the values of rows; the others quote statements."""
    if is_worded_by_a_function(exc) and not _Values.are_shown:
        raised = RAISED_BY.search(_context_of(exc))
        return f"'{HIDDEN}'{f' ({raised[0]})' if raised else ''}"
    text = (getattr(getattr(exc, "diag", None), "message_primary", None) or str(exc)).strip()
    if is_of_rows(exc):
        text = without_values(text.partition("\nLINE ")[0])
    return " ".join(text.partition("\n")[0].split())


def told_with_kind(exc: BaseException) -> str:
    """Give what is told of an error that nobody foresaw, with its kind before it."""
    return f"{type(exc).__name__}: {told(exc)}"


def is_of_rows(exc: BaseException) -> bool:
    """Say whether the text of an error may quote a row."""
    library = type(exc).__module__.partition(".")[0]
    code = getattr(exc, "sqlstate", None)
    if library == "psycopg" and code:
        return is_of_a_function(exc) or not str(code).startswith(OF_NO_ROW)
    return library in {"psycopg", "duckdb", "_duckdb"} and any(each.__name__ in OF_ROWS for each in type(exc).__mro__)


def is_of_a_function(exc: BaseException) -> bool:
    """Say whether PostgreSQL was within a function or trigger when it failed, which may give any code to any text."""
    # COPY names the line in hand, in every language of the server by this word.
    return any(not line.startswith("COPY ") for line in _context_of(exc).splitlines())


def is_worded_by_a_function(exc: BaseException) -> bool:
    """Say whether a function or trigger wrote the text of an error, as by RAISE; a value can stand anywhere in it."""
    source = getattr(getattr(exc, "diag", None), "source_file", None) or ""
    return is_of_a_function(exc) and source.startswith("pl")


def _context_of(exc: BaseException) -> str:
    return getattr(getattr(exc, "diag", None), "context", None) or ""


def traceback_of(exc: BaseException) -> str:
    """Give the traceback of an error and of those from which it came, without the values of rows."""
    text = "".join(traceback.format_exception(exc))
    for each in _chain(exc):
        if is_of_rows(each) and not _Values.are_shown:
            text = text.replace(str(each), told(each))
    return text


def _chain(exc: BaseException | None) -> Iterator[BaseException]:
    seen: list[BaseException] = []
    waiting = [exc]
    while waiting:
        each = waiting.pop()
        if each is not None and each not in seen:
            seen.append(each)
            yield each
            waiting += [each.__cause__, each.__context__]
