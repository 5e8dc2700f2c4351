"""The engine reaches the files of the lake and of its scratch directory, and nothing else of the machine."""

from pathlib import Path

import duckdb
import pytest

from tests.support.s3 import S3
from tidemark.errors import ConfigError
from tidemark.lake.engine import open_engine
from tidemark.lake.sqltext import Sql, from_json
from tidemark.objects import Objects, open_objects

LINE = b'{"n": 1}\n'


def read(objects: Objects, key: str) -> object:
    with open_engine([objects]) as engine:
        return engine.value(Sql(f"select n from {from_json([objects.url(key)], {'n': 'BIGINT'})}"))


def test_no_statement_reaches_a_file_outside_of_the_lake(tmp_path: Path) -> None:
    outside, lake = tmp_path / "outside.csv", tmp_path / "lake"
    outside.write_text("a,b\n1,2\n")
    lake.mkdir()
    (lake / "link.csv").symlink_to(outside)
    variable = {"a": [1]}  # what DuckDB would read for a table of this name
    statements = (
        *(f"from {name}('{outside}')" for name in ("read_text", "read_csv", "read_blob", "glob", "sniff_csv")),
        *(f"from read_text('{path}')" for path in (lake / "link.csv", f"{lake}/../outside.csv", f"{lake}X/a")),
        f"from '{outside}'",
        f"from query('from ''{outside}''')",
        f"copy (select 1) to '{tmp_path / 'made.csv'}'",
        f"attach '{tmp_path / 'made.db'}'",
        "from read_text('/proc/self/environ')",
        "from 's3://elsewhere/x.csv'",
        "from variable",
        "select getenv('HOME')",
        "install httpfs",
        "load httpfs",
        "set enable_external_access = true",
        "set allowed_directories = ['/']",
        "set python_enable_replacements = true",
        f"set log_query_path = '{tmp_path / 'made.log'}'",
    )
    with open_engine([open_objects(str(lake))]) as engine:
        worker = engine.worker("a second connection")
        for text in statements:
            for each in (engine, worker):
                with pytest.raises(duckdb.Error):
                    each.execute(Sql(text))
    assert variable
    assert sorted(path.name for path in tmp_path.iterdir()) == ["lake", "outside.csv"]


def test_a_reader_outside_of_the_lake_is_told_which_file_it_was(tmp_path: Path) -> None:
    told = r"only the files of the lake and its own .*/etc/hostname.*make a seed of it"
    with pytest.raises(ConfigError, match=told), open_engine([open_objects(str(tmp_path))]) as engine:
        engine.execute(Sql("from read_text('/etc/hostname')"))


@pytest.mark.parametrize("name", ["plain", "a, b", 'it\'s "so"', "[a]*?", "ü", "a{b}"])
def test_a_lake_is_read_whatever_its_directory_is_called_and_wherever_its_links_lead(name: str, tmp_path: Path) -> None:
    disk = tmp_path / name / "disk"
    disk.mkdir(parents=True)
    (tmp_path / "entrance").symlink_to(tmp_path / name)
    lake = open_objects(str(tmp_path / "entrance" / name / ".." / name))
    with open_engine([lake]) as engine:
        # The directory comes only after the engine was opened.
        lake.put_new("changes/item/1.jsonl", LINE)
        assert engine.value(Sql(f"select n from {from_json([lake.url('changes/item/1.jsonl')], {'n': 'BIGINT'})}")) == 1

    (tmp_path / "entrance" / name / "latest").mkdir()
    (tmp_path / "entrance" / name / "latest" / "item").symlink_to(disk)
    lake.put_new("latest/item/1.jsonl", LINE)
    assert read(lake, "latest/item/1.jsonl") == 1


def test_a_bucket_is_read_and_no_other_one(s3: S3) -> None:
    mine, other = (open_objects(f"s3://{s3.create_bucket()}/{prefix}") for prefix in ("a[b]", "b"))
    for objects in (mine, other):
        objects.put_new("n=1/1.jsonl", LINE)
    assert read(mine, "n=1/1.jsonl") == 1
    with open_engine([mine]) as engine, pytest.raises(duckdb.PermissionException):
        engine.execute(Sql(f"from read_text('{other.url('n=1/1.jsonl')}')"))
    with open_engine([mine]) as engine, pytest.raises(duckdb.PermissionException):
        engine.execute(Sql("from read_text('/etc/hostname')"))
