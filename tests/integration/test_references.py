"""A fact's references are looked for among the keys of a dimension, of which only those in reach are read."""

from pathlib import Path

import pytest

from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.sqltext import Expression, Sql, listed, scratch_parquet, select
from tidemark.star.references import dangling


@pytest.mark.parametrize(
    ("key_type", "references", "absent"),
    [
        ("integer", [1, 3, None, 5], []),
        ("integer", [0, 1, 5, 6], ["0", "6"]),
        ("bigint", [-(2**63), 2**63 - 1, 3], [str(-(2**63)), str(2**63 - 1)]),
        ("decimal(5, 0)", [2, 2**40], [str(2**40)]),
        ("varchar", ["1", "10", "é"], ["10", "é"]),
        ("integer", [None, None], []),
    ],
)
def test_exactly_the_references_without_a_key_are_found(
    key_type: str, references: list[object], absent: list[str]
) -> None:
    with open_engine([]) as engine, engine.working_tables() as tables:
        keys = _file(engine, [1, 2, 3, 4, 5], key_type)
        fact = _file(engine, references, "varchar" if key_type == "varchar" else "bigint")

        found = dangling(
            engine,
            tables,
            scratch_parquet([fact]),
            {"r": select("files", "fields", fields=listed([Expression("r")]), rows=scratch_parquet([keys]))},
        )

        rows = engine.execute(Sql(f"select reference, key from {found}")).fetchall() if found else []
        assert sorted(rows) == sorted(("r", key) for key in absent)


def _file(engine: Engine, values: list[object], kind: str) -> Path:
    path = engine.new_file(".parquet")
    engine.execute(Sql(f"copy (select unnest(?)::{kind} as r) to '{path}' (format parquet)"), [values])
    return path
