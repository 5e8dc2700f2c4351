"""What a model makes beside its tables: whatever somebody dropped or altered is seen, and made as the model has it."""

import shutil
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path

import psycopg
import pytest

from tests.support.library import LIBRARY
from tests.support.pipeline import ask
from tidemark.errors import ConfigError
from tidemark.model import Model
from tidemark.model_reader import load_model
from tidemark.postgres.connection import connect
from tidemark.postgres.statements import headline
from tidemark.warehouse.roles import ROLES, role_sql
from tidemark.warehouse.schema import init, plan_init, still_needed

MORE = """
alter table fact_loan add constraint fee_sane check (fee > -1000);
create view loans as select loan_id, fee from fact_loan_current;
create or replace view dear as select loan_id from loans where fee > 5;
create function fees(above numeric) returns numeric language sql stable
as 'select sum(fee) from fact_loan where fee > above';
create index fact_loan_fee on fact_loan (fee);
create index on fact_loan (batch_id);
comment on table dim_shelf is 'the dear loans'' shelves';
comment on column fact_loan.fee is 'what it cost';
comment on view loans is 'of books';
comment on function fees(numeric) is 'sum';
grant select on dim_shelf, loans to pg_monitor;
revoke execute on function fees(numeric) from public;
grant execute on function fees(numeric) to pg_monitor;
grant usage on schema public to pg_monitor;
"""
AGAIN, TOLD = "create or replace view fact_loan_current", "comment on view fact_loan_current"
AS_OF = ["create or replace function fact_loan_as_of(at timestamp)", "comment on function fact_loan_as_of(timestamp)"]
OF_LOANS = ["comment on view loans", "grant select on dim_shelf, loans to pg_monitor"]
OF_FEES = [
    "comment on function fees(numeric)",
    "revoke execute on function fees(numeric) from public",
    "grant execute on function fees(numeric) to pg_monitor",
]
LOANS, DEAR, FEES = "create view loans", "create or replace view dear", "create function fees(above numeric)"
# What somebody did, and what init does about it.
HARMS = {
    "drop view fact_loan_current cascade": [AGAIN, TOLD, LOANS, DEAR, *OF_LOANS],
    "drop view loans cascade": [LOANS, DEAR, *OF_LOANS],
    "drop function fact_loan_as_of": AS_OF,
    "drop function fees": [FEES, *OF_FEES],
    "drop index fact_loan_fee": ["create index fact_loan_fee on fact_loan (fee)"],
    "drop index fact_loan_batch_id_idx": ["CREATE INDEX ON fact_loan USING btree (batch_id)"],
    "drop index fact_loan_current_key": [
        'create unique index fact_loan_current_key on fact_loan ("loan_id") where valid_to is null'
    ],
    "comment on table dim_shelf is null": ["comment on table dim_shelf", OF_LOANS[1]],
    "comment on column fact_loan.fee is 'x'": ["comment on column fact_loan.fee"],
    "comment on view fact_loan_current is null": [TOLD],
    "comment on function fees is null": OF_FEES,
    "revoke select on loans from pg_monitor": OF_LOANS,
    "grant execute on function fees to public": OF_FEES,
    "revoke execute on function fees from pg_monitor": OF_FEES,
    "revoke usage on schema public from pg_monitor": ["grant usage on schema public to pg_monitor"],
    "alter table fact_loan drop constraint fee_sane": [
        'alter table "fact_loan" add constraint "fee_sane" CHECK ((fee > (\'-1000\'::integer)::numeric))'
    ],
    "alter table fact_loan drop constraint fee_sane, add constraint fee_sane check (fee > -5)": [
        'alter table "fact_loan" drop constraint "fee_sane"',
        'alter table "fact_loan" add constraint "fee_sane" CHECK ((fee > (\'-1000\'::integer)::numeric))',
    ],
    "alter table fact_loan drop constraint fact_loan_shelf_id_fkey": [
        'alter table "fact_loan" add constraint "fact_loan_shelf_id_fkey" FOREIGN KEY (shelf_id) REFERENCES …'
    ],
    "alter table dim_shelf alter label set default 'y'": [
        'alter table "dim_shelf" alter column "label" set default \'new\'::character varying'
    ],
    "create or replace view fact_loan_current as select * from fact_loan where valid_to is null": [AGAIN, TOLD],
    "create or replace view loans as select loan_id, fee from fact_loan": [f"create or replace{LOANS[6:]}", *OF_LOANS],
    "create or replace view dear with (security_barrier) as select loan_id from loans where fee > 5": [DEAR],
    "drop view loans cascade; create view loans as select 1 as one; grant select on loans to pg_signal_backend":
        ["drop view loans", LOANS, DEAR, *OF_LOANS, "grant SELECT on loans to pg_signal_backend"],
    "create or replace function fact_loan_as_of(at timestamp) returns setof fact_loan language sql stable as"
    " 'select * from fact_loan where valid_from <= at'": AS_OF,
    "create or replace function fees(above numeric) returns numeric language sql as 'select 1.0'":
        [f"create or replace{FEES[6:]}", *OF_FEES],
    "drop function fees; create function fees(above numeric) returns text language sql as 'select 1::text'":
        ["drop function fees(numeric)", FEES, *OF_FEES ],
    "drop index fact_loan_fee; create index fact_loan_fee on fact_loan (shelf_id)":
        ['drop index "fact_loan_fee"', "create index fact_loan_fee on fact_loan (fee)"],
    "alter table fact_loan add column extra text": [AGAIN, TOLD],
}  # fmt: skip
# Harms of several objects, each another kind; one view has a right that the model does not know of.
AT_ONCE = (
    "drop view loans cascade",
    "drop view fact_loan_current",
    "create view fact_loan_current as select loan_id from fact_loan",
    "grant select on fact_loan_current to pg_signal_backend",
    "drop function fact_loan_as_of",
    "create or replace function fees(above numeric) returns numeric language sql as 'select 1.0'",
    "drop index fact_loan_current_key, fact_loan_fee, fact_loan_batch_id_idx",
    "create index fact_loan_fee on fact_loan (shelf_id)",
    "comment on column fact_loan.fee is null",
    "revoke usage on schema public from pg_monitor",
    "alter table fact_loan drop constraint fee_sane, drop constraint fact_loan_shelf_id_fkey",
)
EVERYTHING = """
select relname::text as name, pg_get_viewdef(oid) as definition, obj_description(oid, 'pg_class') as description
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v'
union all
select proname, pg_get_functiondef(oid) || has_function_privilege('pg_monitor', oid, 'execute')::text
    || has_function_privilege('pg_signal_backend', oid, 'execute')::text, obj_description(oid, 'pg_proc')
from pg_proc where pronamespace = 'public'::regnamespace
union all
select indexname, indexdef, null from pg_indexes where schemaname = 'public'
union all
select conname, pg_get_constraintdef(oid), null from pg_constraint where connamespace = 'public'::regnamespace
union all
select relname, has_table_privilege('pg_monitor', oid, 'select')::text, obj_description(oid, 'pg_class')
from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v')
union all
select 'fee', col_description('fact_loan'::regclass, 4), has_schema_privilege('pg_monitor', 'public', 'usage')::text
order by name, definition
"""
# What somebody may do as they like.
HARMLESS = (
    "alter index fact_loan_fee set (fillfactor = 70)",
    "alter index fact_loan_fee rename to kept",
    "create view mine as select * from loans; grant select on mine, loans to public; comment on view dear is 'mine'",
    "alter default privileges grant select on tables to pg_monitor",
    "alter view loans owner to pg_monitor",
)
# What a role that may create no schema cannot see.
OF_FUNCTIONS_AND_SCHEMAS = (
    "comment on function fees is null",
    "grant execute on function fees to public",
    "revoke execute on function fees from pg_monitor",
    "revoke usage on schema public from pg_monitor",
)


def model_with(folder: Path, more: str = MORE) -> Model:
    """Write a library's model with more statements, and with a default."""
    shutil.copytree(LIBRARY, folder, dirs_exist_ok=True)
    text = (LIBRARY / "warehouse.sql").read_text("utf-8")
    (folder / "warehouse.sql").write_text(text.replace("varchar not null", "varchar not null default 'new'") + more)
    return load_model(str(folder))


@pytest.fixture
def ready(new_database: Callable[[], str], tmp_path: Path) -> tuple[str, Model]:
    """A warehouse that has all of a model's objects."""
    url, model = new_database(), model_with(tmp_path / "model")
    init(url, model)
    return url, model


def needed_after(url: str, model: Model, harms: Iterable[str]) -> dict[str, list[str]]:
    """Do each of the harms, and give what is needed then; each is taken back."""
    found = {}
    with closing(connect(url, application="test")) as connection:
        for harm in harms:
            with connection.transaction(force_rollback=True):
                connection.execute(harm.encode())
                found[harm] = [headline(each) for each in still_needed(connection, model)]
    return found


def test_what_was_dropped_or_altered_is_made_as_the_model_has_it(ready: tuple[str, Model]) -> None:
    assert needed_after(*ready, HARMS) == HARMS


def test_what_somebody_added_or_tuned_is_left_alone(ready: tuple[str, Model]) -> None:
    assert needed_after(*ready, HARMLESS) == {harm: [] for harm in HARMLESS}


def test_all_of_it_at_once_is_mended_once(ready: tuple[str, Model], new_database: Callable[[], str]) -> None:
    url, model = ready
    control = new_database()
    init(control, model)
    with psycopg.connect(url) as connection:
        connection.execute("; ".join(AT_ONCE).encode())

    assert init(url, model)

    assert plan_init(url, model) == []
    assert ask(url, EVERYTHING) == ask(control, EVERYTHING)
    assert ask(url, "select has_table_privilege('pg_signal_backend', 'fact_loan_current', 'select')") == [(True,)]


def test_a_role_that_may_create_no_schema_sees_it_too(ready: tuple[str, Model]) -> None:
    url, model = ready
    with psycopg.connect(url) as connection:
        connection.execute(role_sql(model, "warehouse").encode())
    try:
        seen = {}
        harms = (*tuple(HARMS)[::6], *OF_FUNCTIONS_AND_SCHEMAS)
        with closing(connect(url, application="test")) as connection:
            for harm in harms:
                with connection.transaction(force_rollback=True):
                    connection.execute(harm.encode())
                    connection.execute(f"set local role {ROLES['warehouse']}".encode())
                    seen[harm] = bool(still_needed(connection, model))
        assert {harm for harm, is_seen in seen.items() if not is_seen} == set(OF_FUNCTIONS_AND_SCHEMAS)
    finally:
        with psycopg.connect(url) as connection:
            connection.execute(f"drop owned by {ROLES['warehouse']}; drop role {ROLES['warehouse']}".encode())


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("'of books'", "'of all books'", ["comment on view loans"]),
        ("fee > 5", "fee > 6", [DEAR]),
        ("fee > above", "fee >= above", [f"create or replace{FEES[6:]}", *OF_FEES]),
        ("loan_id, fee from", "fee as price, loan_id, fee from", ["drop view dear", "drop view loans", LOANS, DEAR]),
        ("fact_loan (fee)", "fact_loan (fee desc)", ['drop index "fact_loan_fee"', "create index fact_loan_fee"]),
        ("check (fee > -1000)", "check (fee > -9)", ['drop constraint "fee_sane"', 'add constraint "fee_sane"']),
        ("loans to pg_monitor", "loans to pg_monitor, public", ["grant select on dim_shelf, loans"]),
        ("create view loans", "-- all of them\ncreate  view loans", []),
    ],
)
def test_a_statement_that_changed_is_applied(
    ready: tuple[str, Model], tmp_path: Path, before: str, after: str, expected: list[str]
) -> None:
    url, _ = ready
    assert MORE.count(before) == 1
    model = model_with(tmp_path / "changed", MORE.replace(before, after))

    done = [headline(each) for each in init(url, model)]

    assert all(any(words in each for each in done) for words in expected), done
    assert plan_init(url, model) == []
    assert len(done) >= len(expected)


def test_a_table_that_is_made_again_gets_all_that_the_file_says_of_it(ready: tuple[str, Model]) -> None:
    url, model = ready
    before = ask(url, EVERYTHING)
    with psycopg.connect(url) as connection:
        connection.execute("drop table fact_loan cascade; drop table dim_shelf")

    init(url, model)

    assert plan_init(url, model) == []
    assert ask(url, EVERYTHING) == before


@pytest.mark.parametrize("kind", ["materialized view", "table"])
def test_what_cannot_be_replaced_without_a_loss_is_named_with_the_statement_to_type(
    ready: tuple[str, Model], kind: str
) -> None:
    url, model = ready
    with psycopg.connect(url) as connection:
        connection.execute(f"drop view loans cascade; create {kind} loans as select 1 as one".encode())

    with pytest.raises(ConfigError, match=f"the {kind} loans is not the view that the model makes") as raised:
        init(url, model)

    statement = raised.value.advice.partition(": ")[2].partition(";")[0]
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())
    init(url, model)
    assert plan_init(url, model) == []
