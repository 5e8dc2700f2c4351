"""The engine reads the file that is named, as what it is, and guesses nothing."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.s3 import S3
from tidemark.errors import ConfigError
from tidemark.lake.engine import Engine, open_engine
from tidemark.lake.json_lines import CHUNK_BYTES, longest_line_bytes
from tidemark.lake.sqltext import LONGEST_JSON_BYTES, Select, Sql, from_json
from tidemark.memory import limit_memory
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
        assert list(engine.describe(Select("from constant"))) == columns
        assert engine.execute(Sql("from constant")).fetchall() == rows


@pytest.mark.parametrize("body", ["", "code,name\n1\n", "code,name\n1,2,3\n", "code,code\n1,2\n"])
def test_a_seed_that_is_no_such_csv_is_named(tmp_path: Path, body: str) -> None:
    path = tmp_path / "names.csv"
    path.write_text(body)
    with open_engine([]) as engine, pytest.raises(ConfigError, match=r"the seed .*names\.csv is no CSV"):
        engine.seeds({"names": path})


def read_as_long(engine: Engine) -> object:
    """Read a line as if it might be of 140 MB, for which DuckDB takes 280 MB of memory."""
    path = engine.new_file(".jsonl")
    path.write_bytes(LINE)
    return engine.value(Sql(f"select n from {from_json([str(path)], {'n': 'BIGINT'}, 140_000_000)}"))


@pytest.fixture
def keeps_limit() -> Iterator[None]:
    """Puts the memory limit of this process back after the test."""
    yield
    limit_memory(None)


@pytest.mark.usefixtures("keeps_limit")
def test_a_long_row_takes_more_than_the_default_memory(caplog: pytest.LogCaptureFixture) -> None:
    limit_memory(None)
    with open_engine([]) as engine:
        assert read_as_long(engine.worker("purchase")) == 1
    assert "purchase: a row or a step needs more than 216MB of memory: the engine may take" in caplog.text


@pytest.mark.usefixtures("keeps_limit")
def test_a_memory_limit_that_somebody_set_is_kept() -> None:
    limit_memory("200MB")
    with open_engine([]) as engine, engine.working_on("purchase"):
        with pytest.raises(ConfigError, match=r"^purchase needs more memory than the 200MB that the engine may take"):
            read_as_long(engine)
        assert engine.value(Sql("select 1")) == 1


@pytest.mark.usefixtures("keeps_limit")
def test_a_step_that_lacks_memory_runs_again_alone_and_on_one_thread(caplog: pytest.LogCaptureFixture) -> None:
    """Two threads need some 70 MB to take one row out of this file, and one thread needs less than 45 MB."""
    limit_memory("47MB")
    texts = ", ".join(f"'v' || n % 7 as c{column}" for column in range(200))
    with open_engine([]) as engine, caplog.at_level("INFO", "tidemark"):
        wide, rest = engine.new_file(".parquet"), engine.new_file(".parquet")
        engine.write_parquet(Select(f"select n, {texts} from range(8192) r(n)"), wide, 2048)
        others = Select(f"select w.* from '{wide}' as w anti join (select 1 as n) as one using (n)")
        engine.worker("purchase").write_parquet(others, rest, 2048)
        assert engine.value(Sql(f"select count(*) from '{rest}'")) == 8191
        assert engine.value(Sql("select current_setting('threads')")) == 2
    assert "purchase: out of memory, so the step runs again alone" in caplog.text


def test_the_longest_line_is_found_wherever_it_lies(tmp_path: Path) -> None:
    path = tmp_path / "lines.jsonl"
    path.write_bytes(b"{}\n" * 9)
    assert longest_line_bytes([path]) == LONGEST_JSON_BYTES
    for length in (LONGEST_JSON_BYTES, LONGEST_JSON_BYTES + 1, LONGEST_JSON_BYTES + CHUNK_BYTES // 2):
        for end in (b"\n", b"\n{}\n", b""):
            path.write_bytes(b"{}\n" + b"x" * length + end)
            assert longest_line_bytes([path]) in (length, length + 1)
            assert longest_line_bytes([path]) >= length + len(end[:1])
