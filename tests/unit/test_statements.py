import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidemark.model_reader import load_model, shipped_models
from tidemark.postgres.statements import split_statements

PARTS = st.sampled_from(
    [
        "create table item (item_id integer)",
        "select 'a;b', ''';', \"odd;\"\"name\"",
        "create function one() returns integer as $$ select 1; $$ language sql",
        "create function two() returns integer as $body$ select $$;$$; $body$ language sql",
        "-- a comment; not an end\nselect 1",
        "/* one; two */ select 2",
        "comment on table item is 'it''s; here'",
    ],
)
BETWEEN = st.sampled_from([";", ";\n", " ;\n\n"])


@given(statements=st.lists(PARTS), between=BETWEEN, is_ended=st.booleans())
def test_statements_come_apart_as_they_were_put_together(
    statements: list[str], between: str, *, is_ended: bool
) -> None:
    text = between.join(statements) + (between if is_ended and statements else "")

    assert list(split_statements(text)) == statements


@pytest.mark.parametrize("text", ["", "\n", "-- nothing; at all\n", "/* nothing; */"])
def test_a_text_without_a_statement_has_none(text: str) -> None:
    assert list(split_statements(text)) == []


@pytest.mark.parametrize("name", shipped_models())
def test_every_statement_of_a_model_begins_with_its_verb_and_none_is_lost(name: str) -> None:
    text = load_model(name).warehouse_sql

    found = list(split_statements(text))

    assert ";\n".join(found).split() == text.strip().removesuffix(";").split()
