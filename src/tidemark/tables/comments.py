"""The comments on a derived table of versions, for whoever meets it in a database client."""

from collections.abc import Iterator, Mapping

from tidemark.lake.sqltext import text
from tidemark.model import StarTable
from tidemark.named_sql import filled
from tidemark.tables.names import written


def comments(fact: StarTable) -> Iterator[str]:
    """Write the statements that explain a fact and the columns that make its rows versions."""
    row = (fact.driving if fact.kind == "fact" else fact.short_name).replace("_", " ")
    now, earlier = f"{fact.name}_current", f"{fact.name}_as_of"
    table = f"Each version of {_article(row)} {row}. Now: {now}, earlier: {earlier}."
    yield filled("tables", "comment_on_table", {"table": written(fact.name), "text": text(table)})
    for column, comment in _of_columns(fact, row).items():
        parts = {"table": written(fact.name), "column": written(column), "text": text(comment)}
        yield filled("tables", "comment_on_column", parts)


def _of_columns(fact: StarTable, row: str) -> Mapping[str, str]:
    key = f"The {row}" if len(fact.source_key) == 1 else f"Part of the {row}'s key"
    return {
        fact.key[0]: f"This version's own number. A change of the {row} gets a new one.",
        **dict.fromkeys(fact.source_key, f"{key}, the same in all its versions."),
        "valid_from": "From this moment (UTC, inclusive) the row was as this version says.",
        "valid_to": "Until this moment (UTC, exclusive). Null: this is the newest version.",
        "is_deleted": f"The {row} was deleted at valid_from. The other columns hold its last known values.",
        "batch_id": "The batch that brought this version, see tidemark.batch.",
    }


def _article(row: str) -> str:
    return "an" if row[:1].lower() in set("aeio") else "a"
