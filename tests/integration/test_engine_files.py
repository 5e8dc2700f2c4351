"""The engine reads the file that is named, as what it is, and guesses nothing."""

from pathlib import Path

import pytest

from tests.support.s3 import S3
from tidemark.errors import ConfigError
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.sqltext import Sql, from_json
from tidemark.objects import Objects, open_objects

LINE = b'{"n": 1, "note": "x"}\n'


def read(engine: Engine, objects: Objects, key: str) -> list[tuple[object, ...]]:
    lines = from_json([objects.url(key)], {"n": "BIGINT", "note": "VARCHAR"})
    return engine.execute(Sql(f"select n, note from {lines}")).fetchall()


@pytest.mark.parametrize("kind", ["directory", "s3"])
def test_an_address_is_no_pattern_and_says_nothing_of_the_rows(kind: str, tmp_path: Path, s3: S3) -> None:
    objects = open_objects(str(tmp_path) if kind == "directory" else f"s3://{s3.create_bucket()}")
    keys = ("n=5/1.jsonl", "a*/1.jsonl", "ab/1.jsonl", "[ab]/1.jsonl", "a?/1.jsonl")
    for key in keys:
        objects.put_new(key, LINE)
    with open_engine([objects]) as engine:
        for key in keys:
            assert read(engine, objects, key) == [(1, "x")]


@pytest.mark.parametrize(
    ("body", "columns", "rows"),
    [
        ("code\nA;b\nB;c\n", ["code"], [("A;b",), ("B;c",)]),
        ("\ufeffcode,name\r\n1,' x'\r\n#2, y \r\n", ["code", "name"], [("1", "' x'"), ("#2", " y ")]),
        ('code,name\n1,"a ""b"", c"\n2,\n', ["code", "name"], [("1", 'a "b", c'), ("2", None)]),
    ],
)
def test_a_seed_is_csv_with_commas_and_a_header(
    tmp_path: Path, body: str, columns: list[str], rows: list[tuple[str | None, ...]]
) -> None:
    path = tmp_path / "seed=1.csv"
    path.write_text(body, "utf-8", newline="")
    with open_engine([]) as engine:
        engine.seeds({"constant": path})
        found = engine.execute(Sql("from constant"))
        assert ([column[0] for column in found.description], found.fetchall()) == (columns, rows)


@pytest.mark.parametrize("body", ["", "code,name\n1\n", "code,name\n1,2,3\n", "code,code\n1,2\n"])
def test_a_seed_that_is_no_such_csv_is_named(tmp_path: Path, body: str) -> None:
    path = tmp_path / "names.csv"
    path.write_text(body)
    with open_engine([]) as engine, pytest.raises(ConfigError, match=r"the seed .*names\.csv is no CSV"):
        engine.seeds({"names": path})
