"""Creating and upgrading the warehouse's tables."""

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from tests.support.library import LIBRARY
from tests.support.pipeline import ask
from tidemark.errors import ConfigError
from tidemark.model import Model, find_model, load_model
from tidemark.postgres.queries import query
from tidemark.postgres.statements import bare, split_statements
from tidemark.tables.statements import warehouse_sql
from tidemark.warehouse.schema import init, plan_init

# What a model had to say of each fact before this was generated, in the words of totesys at that time.
EARLIER = """
create unique index {fact}_history_key on {fact} ({key}, valid_from);
create unique index {fact}_current_key on {fact} ({key}) where valid_to is null;
create or replace view {fact}_current as
select *
from {fact}
where valid_to is null and not is_deleted;
create or replace function {fact}_as_of(at timestamp) returns setof {fact}
language sql stable
as $$
    select *
    from {fact}
    where valid_from <= at and (valid_to > at or valid_to is null) and not is_deleted
$$;
comment on view {fact}_current is
    'The live rows of {fact} as they stand now, one for each {row}.';
comment on function {fact}_as_of(timestamp) is
    'The live rows of {fact} as they stood at a moment, given in UTC.';
"""
ROWS = {
    "fact_sales_order": ("sales_order_id", "sales order"),
    "fact_purchase_orders": ("purchase_order_id", "purchase order"),
    "fact_payment": ("payment_id", "payment"),
}
DEFINITIONS = """
select relname::text as name, pg_get_viewdef(oid) as definition, obj_description(oid, 'pg_class') as description
from pg_class where relnamespace = 'public'::regnamespace and relkind = 'v'
union all
select proname, pg_get_functiondef(oid), obj_description(oid, 'pg_proc')
from pg_proc where pronamespace = 'public'::regnamespace
union all
select indexname, indexdef, null from pg_indexes where schemaname = 'public'
order by name
"""


# The lines of a model.toml that are for tables which follow from it.
SAID_OF_TABLES = re.compile(r"^(?:nullable|not_null|types) = .*\n|^\[star\.\w+\.types\]\n(?:.+\n)+", re.MULTILINE)


@pytest.fixture
def copied(tmp_path: Path) -> Path:
    """A copy of the model of totesys whose files a test may change; its warehouse.sql writes every table itself."""
    folder = Path(shutil.copytree(find_model("totesys"), tmp_path / "model"))
    (folder / "warehouse.sql").write_text(warehouse_sql(load_model("totesys")), "utf-8")
    toml = folder / "model.toml"
    toml.write_text(SAID_OF_TABLES.sub("", toml.read_text("utf-8")), "utf-8")
    return folder


def rewritten(directory: Path, before: str, after: str) -> Model:
    path = directory / "warehouse.sql"
    text = path.read_text("utf-8")
    assert before in text
    path.write_text(text.replace(before, after, 1), "utf-8")
    return load_model(str(directory))


def column_type(url: str, table: str, column: str) -> str | None:
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select format_type(atttypid, atttypmod) from pg_attribute where attrelid = %s::regclass and attname = %s",
            (table, column),
        ).fetchone()
    return row[0] if row else None


def execute(url: str, statement: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(statement.encode())


def test_init_makes_everything_and_has_nothing_to_do_the_second_time(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    assert init(url, model)
    assert plan_init(url, model) == []


def test_dry_run_prints_sql_that_another_person_can_run(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    script = ";\n".join(plan_init(url, model)) + ";"
    with psycopg.connect(url) as connection:
        connection.execute(script.encode())
    assert plan_init(url, model) == []


def test_a_dry_run_changes_nothing(new_database: Callable[[], str]) -> None:
    url = new_database()
    plan_init(url, load_model("totesys"))
    with psycopg.connect(url) as connection:
        found = connection.execute("select to_regclass('dim_date'), to_regclass('tidemark.batch')").fetchone()
    assert found == (None, None)


def test_a_new_column_keeps_the_rows(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    with psycopg.connect(url) as connection:
        connection.execute("insert into dim_payment_type values (1, 'CASH')")
    column = "    payment_type_name varchar not null,"
    model = rewritten(copied, column, f"{column}\n    note text,")
    init(url, model)
    assert plan_init(url, model) == []
    with psycopg.connect(url) as connection:
        assert connection.execute("select * from dim_payment_type").fetchall() == [(1, "CASH", None)]


def test_a_new_fact_column_appears_in_view_and_function(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    init(url, rewritten(copied, "    units_sold integer not null,", "    units_sold integer not null,\n    note text,"))
    with psycopg.connect(url) as connection:
        connection.execute("select note from fact_sales_order_current")
        connection.execute("select note from fact_sales_order_as_of(timestamp '2024-01-01')")


def test_a_type_that_widens_is_taken_also_under_a_view(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    init(url, rewritten(copied, "unit_price numeric(10, 2)", "unit_price numeric(12, 2)"))
    assert column_type(url, "fact_sales_order", "unit_price") == "numeric(12,2)"
    assert column_type(url, "fact_sales_order_current", "unit_price") == "numeric(12,2)"


def test_a_type_that_may_lose_values_is_refused(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    init(url, load_model("totesys"))
    execute(url, "insert into dim_payment_type values (1, 'CASH')")
    model = rewritten(copied, "payment_type_name varchar not null", "payment_type_name varchar(4) not null")
    with pytest.raises(ConfigError, match=r"dim_payment_type\.payment_type_name is character varying"):
        init(url, model)
    assert column_type(url, "dim_payment_type", "payment_type_name") == "character varying"


def test_a_dropped_constraint_and_index_are_made_again(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    init(url, model)
    with psycopg.connect(url) as connection:
        connection.execute("alter table fact_payment drop constraint fact_payment_payment_date_fkey")
        index = connection.execute(
            "select indexrelid::regclass::text from pg_index"
            " where indrelid = 'fact_payment'::regclass and not indisprimary"
        ).fetchone()
        assert index is not None
        connection.execute(f"drop index {index[0]}".encode())
    assert len([statement for statement in plan_init(url, model) if "add constraint" in statement]) == 1
    init(url, model)
    assert plan_init(url, model) == []


def test_a_warehouse_made_before_views_were_generated_gets_the_functions_of_today(
    new_database: Callable[[], str],
) -> None:
    earlier, now, model = new_database(), new_database(), load_model("totesys")
    init(now, model)
    written = [EARLIER.format(fact=fact, key=key, row=row) for fact, (key, row) in ROWS.items()]
    ledger = query("warehouse", "create_ledger").as_string()
    with psycopg.connect(earlier) as connection:
        connection.execute("\n".join([ledger, ";", warehouse_sql(model), *written]).encode())

    # Functions of that time called their moment `at`; now they take it by its place, so that a column may be called so.
    replaced = [each for each in plan_init(earlier, model) if "view" in each or "index" in each or "alter" in each]
    assert [each for each in replaced if not bare(each).startswith("comment")] == [
        each for each in plan_init(new_database(), model) if "as_of(at timestamp)" in each
    ]
    init(earlier, model)
    assert plan_init(earlier, model) == []
    assert ask(earlier, DEFINITIONS) == ask(now, DEFINITIONS)


def test_a_view_that_is_gone_is_made_again(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    init(url, model)
    for drop in ("drop view fact_payment_current", "drop function fact_payment_as_of"):
        with psycopg.connect(url) as connection:
            connection.execute(drop.encode())
        assert plan_init(url, model)
        init(url, model)
        assert plan_init(url, model) == []


def test_the_models_own_view_function_and_index_are_taken(new_database: Callable[[], str], copied: Path) -> None:
    url = new_database()
    with (copied / "warehouse.sql").open("a") as file:
        file.write(
            "create or replace view fact_payment_current as select payment_id from fact_payment;"
            "create or replace function fact_payment_as_of(at date) returns date language sql as 'select at';"
            "create index fact_payment_history_key on fact_payment (valid_from);"
        )
    model = load_model(str(copied))

    init(url, model)

    assert [row[0] for row in ask(url, "select pg_get_viewdef('fact_payment_current'::regclass)")] == [
        " SELECT payment_id\n   FROM fact_payment;"
    ]
    assert ask(url, "select pg_get_function_arguments('fact_payment_as_of'::regproc)") == [("at date",)]
    assert plan_init(url, model) == []


def test_a_type_widens_under_a_view_of_the_model_over_a_generated_one(
    new_database: Callable[[], str], copied: Path
) -> None:
    url, own = new_database(), "create or replace view priced as select unit_price from fact_sales_order_current;"
    with (copied / "warehouse.sql").open("a") as file:
        file.write(own)
    init(url, load_model(str(copied)))

    init(url, rewritten(copied, "unit_price numeric(10, 2)", "unit_price numeric(12, 2)"))

    assert column_type(url, "priced", "unit_price") == "numeric(12,2)"


def test_what_a_person_added_is_left_alone(new_database: Callable[[], str]) -> None:
    url, model = new_database(), load_model("totesys")
    init(url, model)
    with psycopg.connect(url) as connection:
        connection.execute("alter table dim_staff add column nickname text")
        connection.execute("create table notes (note text)")
    assert plan_init(url, model) == []


def test_statements_are_cut_only_between_them() -> None:
    text = "-- a; b\ncreate function f() as $x$ select 1; $x$;\nselect ';', \"a;b\" /* ; */;\n-- the end; really\n"
    assert [statement.split("\n")[-1] for statement in split_statements(text)] == [
        "create function f() as $x$ select 1; $x$",
        "select ';', \"a;b\" /* ; */",
    ]


MOOD = "create type mood as enum ('ok', 'sad');\n"
LOANS = "create view loans as select * from fact_loan;\n"


def library_with(folder: Path, before: str = "", after: str = "", *, mood: bool = False) -> Model:
    """Write a library's model with more statements before and after its tables, and with a mood of each shelf."""
    shutil.copytree(LIBRARY, folder, dirs_exist_ok=True)
    text = (LIBRARY / "warehouse.sql").read_text("utf-8")
    text = text.replace("label varchar not null", "label varchar not null,\n    mood mood") if mood else text
    (folder / "warehouse.sql").write_text(before + text + after, "utf-8")
    return load_model(str(folder))


def test_what_is_added_to_the_file_later_is_run_once(new_database: Callable[[], str], tmp_path: Path) -> None:
    url = new_database()
    init(url, library_with(tmp_path))

    grant = "grant select on dim_shelf to public;\ncreate table counted (n int);\ninsert into counted values (1);\n"
    added = library_with(tmp_path, after=f"{LOANS}{grant}")
    init(url, added)

    assert ask(url, "select has_table_privilege('pg_monitor', 'dim_shelf', 'select')") == [(True,)]
    assert plan_init(url, added) == []
    execute(url, "drop view loans")
    assert [each.split()[:3] for each in init(url, added)] == [["create", "view", "loans"]]
    assert ask(url, "table counted") == [(1,)]


def test_a_plain_view_keeps_no_column_from_widening(new_database: Callable[[], str], tmp_path: Path) -> None:
    url = new_database()
    init(url, library_with(tmp_path, after=LOANS))
    library_with(tmp_path, after=f"{LOANS}comment on view loans is 'of books';\n")
    model = rewritten(tmp_path, "fee numeric(10, 2)", "fee numeric(12, 2)")

    init(url, model)

    assert column_type(url, "loans", "fee") == "numeric(12,2)"
    assert plan_init(url, model) == []


def test_a_table_without_rows_takes_any_type_and_a_column_that_is_not_null(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    url = new_database()
    init(url, library_with(tmp_path))
    text = load_model(str(tmp_path)).warehouse_sql
    text = text.replace("fee numeric(10, 2) not null", "fee numeric(8, 2) not null,\n    note text not null")
    (tmp_path / "warehouse.sql").write_text(text)
    model = load_model(str(tmp_path))

    init(url, model)

    assert column_type(url, "fact_loan", "fee") == "numeric(8,2)"
    assert plan_init(url, model) == []


def test_a_column_that_the_model_no_longer_has_may_be_null_if_nothing_fills_it(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    url, model = new_database(), library_with(tmp_path)
    init(url, model)
    with psycopg.connect(url) as connection:
        connection.execute(
            "alter table fact_loan add gone text not null, add filled text not null default 'x',"
            " add counted bigint not null generated always as identity;"
            "alter table dim_shelf add stamped timestamp not null;"
            "create function stamp() returns trigger language plpgsql as"
            " $$ begin new.stamped = now(); return new; end $$;"
            "create trigger stamp before insert on dim_shelf for each row execute function stamp()"
        )

    altered = [each for each in init(url, model) if each.startswith("alter")]
    assert altered == ['alter table "fact_loan" alter column "gone" drop not null']
    assert plan_init(url, model) == []


@pytest.mark.parametrize(
    ("after", "line", "words"),
    [
        ("create view loans as\n    selec * from fact_loan;\n", 17, 'syntax error at or near "selec"'),
        ("\n-- why\ncomment on table nothing is 'x';\n", 18, 'relation "nothing" does not exist'),
        ("create index on fact_loan (fees);\n", 16, 'column "fees" does not exist'),
    ],
)
def test_a_fault_of_the_file_is_named_with_its_line(
    new_database: Callable[[], str], tmp_path: Path, after: str, line: int, words: str
) -> None:
    url, model = new_database(), library_with(tmp_path, after=after)
    for work in (plan_init, init):
        with pytest.raises(ConfigError, match=f"{words}") as raised:
            work(url, model)
        assert raised.value.message.startswith(f"{tmp_path}/warehouse.sql, line {line}: ")


def test_a_statement_whose_record_is_lost_is_said_to_need_a_form_that_can_run_again(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    url = new_database()
    trigger = (
        "trigger same before update on dim_shelf for each row execute function suppress_redundant_updates_trigger();"
    )
    init(url, library_with(tmp_path, after=f"create sequence numbers;\ncreate {trigger}\n"))
    execute(url, "drop table tidemark.statement")

    with pytest.raises(ConfigError, match=r'line \d+: relation "numbers" already exists') as raised:
        init(url, load_model(str(tmp_path)))
    assert raised.value.advice.startswith("write it so that it can run again: `create or replace`, `if not exists`, or")

    mended = f"create sequence if not exists numbers;\ncreate or replace {trigger}\n"
    init(url, library_with(tmp_path, after=mended))
    assert plan_init(url, load_model(str(tmp_path))) == []


# What others make over a fact, each with a word by which it is named; later ones depend on those before.
OF_OTHERS = {
    'create view "Dear one" as select loan_id, fee from fact_loan_current': 'view public."Dear one" of postgres',
    'create materialized view dearest as select max(fee) as fee from "Dear one"': "materialized view public.dearest",
    'create function dear() returns setof "Dear one" language sql as $$select 1, 1.0$$': "function public.dear()",
    "create view of_function as select fee from dear()": "view public.of_function",
    "create function dues() returns numeric begin atomic select sum(fee) from fact_loan; end": "function public.dues()",
    "create rule late as on delete to dim_shelf do also delete from fact_loan where fee > 9": "rule late on public.dim",
    "alter table fact_loan add column cents numeric generated always as (fee * 100) stored": "column fact_loan.cents",
    "create policy few on fact_loan using (fee > 1)": "policy few on public.fact_loan",
    "create trigger each before update of fee on fact_loan for each row execute function"
    " suppress_redundant_updates_trigger()": "trigger each on public.fact_loan",
    "create publication fees for table fact_loan where (fee > 1)": "public.fact_loan in publication fees",
    # These do not stand in the way.
    "create view untouched as select loan_id from fact_loan": "",
    "create index fees_of_loans on fact_loan (fee)": "",
    "create table note (loan bigint references fact_loan)": "",
}


def test_what_others_made_over_a_column_is_named_with_the_statements_to_type(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    url = new_database()
    init(url, library_with(tmp_path))
    model = rewritten(tmp_path, "fee numeric(10, 2)", "fee numeric(12, 2)")
    for statement in OF_OTHERS:
        execute(url, statement)

    for work in (plan_init, init):
        with pytest.raises(ConfigError) as raised:
            work(url, model)
    problems, advice = raised.value.problems, raised.value.advice
    named = sorted(filter(None, OF_OTHERS.values()))
    assert [word for word in named if not any(word in each for each in problems)] == []
    assert len(problems) == len(named)
    assert column_type(url, "fact_loan", "fee") == "numeric(10,2)"

    assert """ --table='public."Dear one"' > kept.sql""" in advice
    drops = advice.partition("in this order: ")[2].partition("\nthen")[0]
    execute(url, drops)
    assert init(url, model)
    assert column_type(url, "fact_loan", "fee") == "numeric(12,2)"
    assert ask(url, "select count(*) from untouched") == [(0,)]


def test_a_view_that_is_made_again_keeps_its_owner_rights_and_options(
    new_database: Callable[[], str], tmp_path: Path
) -> None:
    url = new_database()
    init(url, library_with(tmp_path))
    model = rewritten(tmp_path, "fee numeric(10, 2)", "fee numeric(12, 2)")
    for statement in (
        "grant select on fact_loan_current to public",
        "grant select, update on fact_loan_current to pg_monitor with grant option",
        "grant insert (fee) on fact_loan_current to pg_monitor",
        "alter view fact_loan_current set (security_barrier = true)",
        "alter view fact_loan_current owner to pg_database_owner",
    ):
        execute(url, statement)
    kept = (
        "select c.relowner::regrole::text, c.reloptions,"
        " array(select a::text from unnest(c.relacl) as a order by 1), a.attacl::text from pg_class as c"
        " join pg_attribute as a on a.attrelid = c.oid and a.attname = 'fee' where c.relname = 'fact_loan_current'"
    )
    before = ask(url, kept)

    init(url, model)

    assert ask(url, kept) == before
    assert column_type(url, "fact_loan_current", "fee") == "numeric(12,2)"


def test_types_of_the_file_and_of_the_schema_are_found_again(new_database: Callable[[], str], tmp_path: Path) -> None:
    for before in (MOOD, ""):
        url = new_database()
        if not before:
            execute(url, MOOD)
        model = library_with(tmp_path, before, mood=True)
        init(url, model)
        assert plan_init(url, model) == []

    url = new_database()
    init(url, library_with(tmp_path, MOOD, mood=True))
    model = library_with(tmp_path, MOOD.replace("'sad'", "'fine', 'sad', 'lost'"), mood=True)
    init(url, model)
    assert ask(url, "select enum_range(null::mood)::text") == [("{ok,fine,sad,lost}",)]
    assert plan_init(url, model) == []
