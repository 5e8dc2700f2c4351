"""Histories that the tests of other tools tell, in a mirror: what becomes of each row, batch by batch.

Each table tells a story of its own, in steps of SQL with a run after each, and says what its history then is: for each
key the values of its versions, oldest first. Keys that tell the same are named together.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby

import pytest
from psycopg import sql

from tests.support.mirror import found_wrong, known, mirror_rig
from tests.support.pipeline import Rig, as_text
from tests.support.postgres import Postgres
from tests.support.written_docs import require_written, span, table
from tidemark.mirror import Scope

DELETED = "(deleted)"


@dataclass(frozen=True)
class Story:
    """What happens to a table, what its history then is, and who tests such a thing."""

    peer: str
    what: str
    table: str
    steps: Sequence[str]
    history: str
    values: str = "v"
    key: str = "id"


STORIES = [
    Story(
        "dbt",
        "20 rows; 16 to 20 change and 21 to 30 come; 1 to 5 go, and 6 changes without a stamp; 1 and 2 come back",
        "people",
        [
            (
                "create table people (id integer primary key, v text, updated_at timestamp default '2024-01-01');"
                "insert into people select n, 'a' from generate_series(1, 20) as n"
            ),
            (
                "update people set v = 'b', updated_at = '2024-01-02' where id between 16 and 20;"
                "insert into people select n, 'a', '2024-01-02' from generate_series(21, 30) as n"
            ),
            "delete from people where id <= 5; update people set v = 'c' where id = 6",
            "insert into people values (1, 'a'), (2, 'd')",
        ],
        "1: a, (deleted), a; 2: a, (deleted), d; 3-5: a, (deleted); 6: a, c; 7-15: a; 16-20: a, b; 21-30: a",
    ),
    Story(
        "dbt",
        "a column comes and one row has a value in it; a null becomes a value and a value a null; a column comes with a"
        " default while a row goes",
        "growing",
        [
            (
                "create table growing (id integer primary key, v text);"
                "insert into growing values (1, 'a'), (2, 'a'), (3, null), (4, 'a')"
            ),
            (
                "alter table growing add column more text; update growing set more = 'x' where id = 1;"
                "update growing set v = 'b' where id = 3; update growing set v = null where id = 4"
            ),
            "alter table growing add column other integer default 5; delete from growing where id = 2",
        ],
        "1: a - -, a x -, a x 5; 2: a - -, (deleted); 3: - - -, b - -, b - 5; 4: a - -, - - -, - - 5",
        values="v, more, other",
    ),
    Story(
        "dbt",
        "of a key of two columns one row changes, another goes and comes back",
        "of_two_keys",
        [
            (
                "create table of_two_keys (a integer, b text, v text, primary key (a, b));"
                "insert into of_two_keys values (1, 'x', 'a'), (1, 'y', 'a'), (2, 'x', 'a')"
            ),
            "update of_two_keys set v = 'b' where b = 'y'; delete from of_two_keys where a = 2",
            "insert into of_two_keys values (2, 'x', 'c')",
        ],
        "1 x: a; 1 y: a, b; 2 x: a, (deleted), c",
        key="a, b",
    ),
    Story(
        "dlt",
        "a row comes, changes, goes, and comes again",
        "slowly",
        [
            "create table slowly (id integer primary key, v text); insert into slowly values (1, 'a')",
            "update slowly set v = 'b'",
            "delete from slowly",
            "insert into slowly values (1, 'b')",
        ],
        "1: a, b, (deleted), b",
    ),
    Story(
        "dlt",
        "a row goes and comes again unchanged, which leaves a gap; another does so between two runs, which leaves none",
        "again",
        [
            "create table again (id integer primary key, v text); insert into again values (1, 'a'), (2, 'a')",
            "delete from again where id = 1; delete from again where id = 2; insert into again values (2, 'a')",
            "insert into again values (1, 'a')",
        ],
        "1: a, (deleted), a; 2: a",
    ),
    Story(
        "dlt",
        "a row says that it changed earlier than it did before",
        "back_in_time",
        [
            (
                "create table back_in_time (id integer primary key, v text, updated_at timestamp);"
                "insert into back_in_time values (1, 'a', '2024-01-02')"
            ),
            "update back_in_time set v = 'b', updated_at = '2024-01-01'",
            "update back_in_time set v = 'c', updated_at = '2999-01-01'",
        ],
        "1: a, b, c",
    ),
    Story(
        "PeerDB",
        "between two runs a row comes, changes and goes; one comes and changes; one goes and comes as another; one is"
        " there only later",
        "at_once",
        [
            "create table at_once (id integer primary key, v text); insert into at_once values (1, 'a')",
            (
                "insert into at_once values (2, 'a'); update at_once set v = 'b' where id = 2;"
                "delete from at_once where id = 2; insert into at_once values (3, 'a');"
                "update at_once set v = 'b' where id = 3; delete from at_once where id = 1;"
                "insert into at_once values (1, 'b')"
            ),
            "insert into at_once values (2, 'c')",
        ],
        "1: a, b; 2: c; 3: b",
    ),
    Story(
        "PeerDB",
        "a row gets another key; keys change places; a table is emptied and filled again",
        "moving",
        [
            (
                "create table moving (id integer primary key deferrable, v text, unique (v));"
                "alter table moving drop constraint moving_pkey, add primary key (id);"
                "insert into moving values (1, 'a'), (2, 'b'), (3, 'c')"
            ),
            (
                "update moving set id = 9 where id = 3; update moving set id = -id where id < 3;"
                "update moving set id = 3 + id where id < 0"
            ),
            "truncate moving; insert into moving values (1, 'b'), (4, 'd')",
        ],
        "1: a, b; 2: b, a, (deleted); 3: c, (deleted); 4: d; 9: c, (deleted)",
    ),
    Story(
        "supabase/etl",
        "a column is renamed; goes while another comes under its name; gets another type, a default and not null",
        "reshaped",
        [
            (
                "create table reshaped (id integer primary key, v text, n integer);"
                "insert into reshaped values (1, 'a', 1), (2, 'b', 2)"
            ),
            "alter table reshaped rename column v to w; update reshaped set w = 'c' where id = 2",
            "alter table reshaped drop column n; alter table reshaped add column n text default 'text'",
            (
                "alter table reshaped alter column w set not null; alter table reshaped alter column w set default 'z';"
                "alter table reshaped add constraint short check (length(w) < 9); insert into reshaped (id) values (3)"
            ),
        ],
        "1: a - 1, - a 1, - a text; 2: b - 2, - c 2, - c text; 3: - z text",
        values="v, w, n",
    ),
]
RENAMED = Story(
    "supabase/etl",
    "a table is renamed: under its old name its rows end, under its new one they begin",
    "old_name",
    [
        "create table old_name (id integer primary key, v text); insert into old_name values (1, 'a')",
        "alter table old_name rename to new_name; update new_name set v = 'b'",
        "insert into new_name values (2, 'c')",
    ],
    "1: a, (deleted)",
)
TOLD = [*STORIES, RENAMED]


@pytest.fixture(scope="module")
def told(postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """Let all stories happen at once, with a run after each step; tests share what came of it and only look."""
    with mirror_rig(postgres, str(tmp_path_factory.mktemp("stories")), Scope()) as (rig, _):
        for step in range(max(len(story.steps) for story in TOLD)):
            rig.change(*(story.steps[step] for story in TOLD if step < len(story.steps)))
            rig.run()
        yield rig


def history_of(rig: Rig, story: Story) -> str:
    """Say for each key which versions the warehouse has, oldest first; keys that follow each other with the same."""
    key, values = (each.split(", ") for each in (story.key, story.values))
    query = sql.SQL("select {}, is_deleted, {} from {} order by {}, valid_from").format(
        fields(key), texts(values), sql.Identifier(f"{story.table}_history"), fields(key)
    )
    versions = {
        " ".join(map(str, found)): [DELETED if row[len(key)] else " ".join(row[len(key) + 1 :]) for row in rows]
        for found, rows in groupby(rig.warehouse(query.as_string()), lambda row: row[: len(key)])
    }
    groups = [(list(keys), of) for of, keys in groupby(versions, versions.__getitem__)]
    named = [(keys[0] if len(keys) == 1 else f"{keys[0]}-{keys[-1]}", of) for keys, of in groups]
    return "; ".join(f"{keys}: {', '.join(of)}" for keys, of in named)


def fields(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def texts(names: Sequence[str]) -> sql.Composed:
    """Write values as texts, a null as a dash."""
    return sql.SQL(", ").join(sql.SQL("coalesce({}::text, '-')").format(sql.Identifier(name)) for name in names)


@pytest.mark.parametrize("story", TOLD, ids=lambda story: story.table)
def test_each_row_has_the_history_that_the_story_tells(told: Rig, story: Story) -> None:
    assert history_of(told, story) == story.history


def test_what_the_stories_leave_is_proved_to_the_bottom(told: Rig) -> None:
    assert found_wrong(told, deep=True) == []
    assert known(told).tables["public.old_name"].is_dropped
    assert told.count("old_name") == 0
    for name in ("people", "of_two_keys", "again", "at_once", "moving", "reshaped", "new_name"):
        query = f"select * from {name}" if name != "reshaped" else "select id, w, n from reshaped"
        assert as_text(told.source_url, query) == as_text(told.warehouse_url, query)


def test_a_row_is_not_there_in_the_gap_between_two_of_its_versions(told: Rig) -> None:
    history = told.warehouse("select valid_from, valid_to, is_deleted from again_history where id = 1 order by 1")
    (first, until, _), (gone, back, is_gap), (last, end, _) = history

    assert (until, back, end, is_gap) == (gone, last, None, True)
    found = [told.warehouse("select id from again_as_of(%s) order by id", [at]) for at in (first, gone, last)]
    assert found == [[(1,), (2,)], [(2,)], [(1,), (2,)]]


def test_the_histories_of_the_docs_are_those_that_the_stories_left(told: Rig, pytestconfig: pytest.Config) -> None:
    rows = [[story.peer, story.what, span(history_of(told, story), most=200)] for story in TOLD]
    headings = ("who tests such a thing", "what happens, with a run after each step", "the versions of each key")

    require_written(pytestconfig, "types.md", "histories", table(headings, rows))
