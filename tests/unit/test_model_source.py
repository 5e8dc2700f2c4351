"""A model's source.toml: what is written is read again, and what is wrong with one is said."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.errors import ConfigError
from tidemark.log.columns import Column
from tidemark.model_source import read_source, source_text, write_source

# PostgreSQL has every character in a name but NUL, and a file holds no half of a surrogate pair.
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)
TYPES = st.sampled_from(["integer", "numeric(10,2)", "timestamp(3) without time zone", 'other."A type"', "text[]"])
COLUMNS = st.lists(st.builds(Column, NAMES, TYPES, st.booleans()), max_size=4, unique_by=lambda each: each.name)


@given(st.dictionaries(NAMES, COLUMNS, max_size=3))
def test_what_is_written_is_read_again(tables: dict[str, list[Column]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        write_source(Path(folder), tables)
        read = read_source(Path(folder))
    assert (list(read), read) == (list(tables), {name: tuple(columns) for name, columns in tables.items()})


def test_a_person_can_read_it() -> None:
    loan = [Column("loan_id", "integer", nullable=False), Column("a fee", "numeric(10,2)")]
    text = '[loan]\nloan_id = "integer not null"\n"a fee" = "numeric(10,2)"\n'
    assert source_text({"loan": loan}).partition("\n\n")[2] == text


def test_a_model_need_not_have_one(tmp_path: Path) -> None:
    assert read_source(tmp_path) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("[loan", "source.toml is not TOML"),
        ("loan = 1", r"loan is 1: expected a table \[loan\] of columns"),
        ("[loan]\nfee = 1", r"\[loan\] fee is 1: expected a type, such as"),
        ('[loan]\nfee = " not null"', r"\[loan\] fee is ' not null': expected a type"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, problem: str) -> None:
    (tmp_path / "source.toml").write_text(text)
    with pytest.raises(ConfigError, match=problem):
        read_source(tmp_path)
