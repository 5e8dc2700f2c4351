"""The command `sql`: one question to the warehouse or the lake, and nothing that it could change."""

import csv
import io
import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.imports import HEAVY, imports_of
from tests.support.pipeline import Rig
from tests.support.site import Site, wait_for
from tests.support.terminal import on_terminal, screen_of
from tidemark.cli import run
from tidemark.star.asking import ask_lake

# Each value as a text, and what a person, a program and a file get of it.
STRANGE = (
    "select null::text as nothing, '' as empty, E'a,\"b\"\\nc' as lines, E'\\x1b[31mred\\x07' as codes, '世界' as wide,"
    " repeat('9', 60)::numeric + 0.5 as digits, 'infinity'::timestamp as forever, '0044-03-15 BC'::date as before,"
    " array[1, null, 3] as list, '\\x00ff'::bytea as bytes, 'NaN'::float8 as odd, 9223372036854775807 as large,"
    " true as yes, '{\"a\": 1}'::jsonb as doc, interval '1 month' as span"
)


@pytest.fixture
def loaded(small_totesys: Callable[..., Rig], tmp_path: Path) -> Site:
    """A site after its first run."""
    rig = small_totesys(1, str(tmp_path / ".tidemark"))
    return Site(rig.source_url, rig.warehouse_url, tmp_path)


@pytest.fixture
def site(new_database: Callable[..., str], tmp_path: Path) -> Site:
    """A site whose warehouse is any database."""
    url = new_database()
    return Site(url, url, tmp_path)


Asked = Callable[..., Any]


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Asked:
    """Ask in this process, which is quicker than a process of its own: `asked(site, *arguments, expect=0)`."""
    monkeypatch.chdir(tmp_path)

    def ask(site: Site, *arguments: str, expect: int = 0) -> Any:  # noqa: ANN401 -- JSON
        code = run(["sql", "--warehouse-url", site.warehouse, "--json", *arguments])
        shown = capsys.readouterr().out
        assert code == expect, shown
        return json.loads(shown)

    return ask


@pytest.fixture
def errors(asked: Asked) -> Callable[..., str]:
    """Ask what is refused, and give the message."""
    return lambda site, *arguments: asked(site, *arguments, expect=2)["error"]["message"]


def test_values_of_every_kind_come_out_as_the_server_writes_them(site: Site, asked: Asked) -> None:
    found = asked(site, STRANGE)
    shown = site.run("sql", STRANGE).stdout
    [names, values] = csv.reader(io.StringIO(site.run("sql", STRANGE, "--csv").stdout, newline=""))

    (row,) = found["rows"]
    assert row == {
        "nothing": None,
        "empty": "",
        "lines": 'a,"b"\nc',
        "codes": "\x1b[31mred\x07",
        "wide": "世界",
        "digits": "9" * 60 + ".5",
        "forever": "infinity",
        "before": "0044-03-15 BC",
        "list": "{1,NULL,3}",
        "bytes": "\\x00ff",
        "odd": "NaN",
        "large": 9223372036854775807,
        "yes": True,
        "doc": '{"a": 1}',
        "span": "1 mon",
    }
    types = {column["name"]: column["type"] for column in found["columns"]}
    assert (types["digits"], types["list"], types["bytes"]) == ("numeric", "integer[]", "bytea")
    assert dict(zip(names, values, strict=True)) == {
        **{name: str(value) for name, value in row.items()},
        "nothing": "",
        "yes": "t",
    }
    assert r"\x1b[31mred\x07" in shown
    assert "\x1b" not in shown
    assert shown.endswith("(1 row)\n")


def test_a_type_of_the_database_and_an_answer_without_rows_or_columns_are_shown(site: Site, asked: Asked) -> None:
    site.query(site.warehouse, "create type mood as enum ('glad'); create domain small as integer")

    assert asked(site, "select 'glad'::mood as m, array['glad'::mood] as l, 1::small as s") == {
        "columns": [{"name": "m", "type": "mood"}, {"name": "l", "type": "mood[]"}, {"name": "s", "type": "integer"}],
        "rows": [{"m": "glad", "l": "{glad}", "s": 1}],
    }
    assert asked(site, "values (1) limit 0")["rows"] == []
    assert site.run("sql", "select 1 as a where false").stdout == "a\n─\n(0 rows)\n"
    assert site.run("sql", "select 1 as a where false", "--csv").stdout == "a\n"


def test_only_one_statement_that_reads_is_run(site: Site, errors: Callable[..., str]) -> None:
    site.query(site.warehouse, "create table t (a integer); create sequence s")
    file = site.folder / "written"
    no_rows = (
        "insert into t values (1)",
        f"copy (select 1) to '{file}'",
        f"copy (select 1) to program 'touch {file}'",
        "do $$ begin insert into t values (1); end $$",
        "set session characteristics as transaction read write",
        "commit",
        "drop table t",
    )
    read_only = (
        "with added as (insert into t values (1) returning a) select * from added",
        "select nextval('s')",
        "explain analyze insert into t values (1)",
        "select lo_create(0)",
    )
    several = (
        "select 1; drop table t",
        "commit; drop table t",
        "select 1; select 2;",
        "begin read write; delete from t",
    )

    assert [errors(site, each).partition("statement: ")[2] for each in no_rows] == ["it gives no rows"] * len(no_rows)
    assert ["read-only transaction" in errors(site, each) for each in read_only] == [True] * len(read_only)
    assert [errors(site, each).partition(",")[0] for each in several] == ["expected one statement"] * len(several)
    assert (site.query(site.warehouse, "select count(*) from t"), file.exists()) == ([(0,)], False)
    assert errors(site, "select set_config('transaction_read_only', 'off', false)").endswith("before any query")
    assert "parameters such as $1" in errors(site, "select $1")
    for empty in ("", "  ", " -- nothing", ";"):
        assert errors(site, empty).startswith(("expected a statement", "the warehouse at")), empty
    assert site.run("sql", "select E'it\\'s; one' as a;", "--csv").stdout == "a\nit's; one\n"


def test_a_setting_that_a_statement_changes_is_taken_back(site: Site, asked: Asked) -> None:
    site.run("sql", "select set_config('work_mem', '7MB', false)")

    # A pooler would hand the session on.
    assert asked(site, "select current_setting('work_mem') as found")["rows"] != [{"found": "7MB"}]


def test_an_error_says_where_it_is_in_the_servers_words(site: Site, errors: Callable[..., str], asked: Asked) -> None:
    error = asked(site, "select 1,\n  nothing", expect=2)["error"]

    assert error["message"].endswith('refuses the statement: column "nothing" does not exist (line 2, column 3)')
    assert error["facts"] == {"line": 2, "column": 3, "sqlstate": "42703"}
    assert errors(site, "select 1/0").endswith("division by zero")
    assert errors(site, "select 1 as a into temp x").endswith("it gives no rows")
    hidden = asked(
        site, "select t::integer from (select chr(115) || n as t from generate_series(1, 2) as n) as x", expect=2
    )
    assert "s1" not in json.dumps(hidden)
    assert "TIDEMARK_SHOW_VALUES" in hidden["error"]["advice"]
    twice = asked(site, "select 1 as a, 2 as a", expect=2)["error"]
    assert "two columns are called a" in twice["message"]
    assert site.run("sql", "select 1 as a, 2 as a", "--csv").stdout == "a,a\n1,2\n"
    assert "--csv and --json" in errors(site, "select 1", "--csv")
    away = asked(site, "select 1", "--warehouse-url", "postgresql://u@127.0.0.1:1/x", expect=3)
    assert away["error"]["family"] == "TransientError"


def test_ctrl_c_ends_the_query_in_the_server(site: Site) -> None:
    running = "select count(*) from pg_stat_activity where application_name = 'tidemark sql' and state = 'active'"

    with site.started("sql", "select pg_sleep(60)") as process:
        wait_for(lambda: site.query(site.warehouse, running) == [(1,)])
        process.send_signal(signal.SIGINT)
        shown, told = process.communicate(timeout=20)

    assert (process.returncode, shown) == (130, "")
    assert told.startswith("ended by SIGINT")
    assert site.query(site.warehouse, running) == [(0,)]


def test_rows_stream_and_a_reader_that_has_enough_ends_the_query(site: Site) -> None:
    endless = "select generate_series(1, 100000000) as n, repeat('x', 100) as text"

    with site.started("sql", endless, "--csv") as process:
        assert process.stdout is not None
        read = [process.stdout.readline() for _ in range(3)]
        process.stdout.close()
        assert process.stderr is not None
        told = process.stderr.read()
        code = process.wait(20)

    assert read == ["n,text\n", f"1,{'x' * 100}\n", f"2,{'x' * 100}\n"]
    assert (code, told) == (141, "")
    shown = site.run("sql", "select n from generate_series(1, 1001) as n").stdout
    assert shown.endswith("\n1000\n(the first 1,000 rows; --csv gives all of them)\n")


def test_a_terminal_gets_what_fits_and_a_list_where_nothing_would(site: Site) -> None:
    urls = {"TIDEMARK_WAREHOUSE_URL": site.warehouse}
    narrow = "select 'a' as one, repeat('word ', 30) as two"
    wide = f"select {', '.join(f'{n} as a_rather_long_name_{n}' for n in range(9))}"

    with on_terminal(["sql", narrow], site.folder, urls) as terminal:
        table = screen_of(terminal.ended())
    with on_terminal(["sql", wide], site.folder, urls) as terminal:
        listed = terminal.ended()
    with on_terminal(["sql", "select E'\\x1b[2J' as a", "--csv"], site.folder, urls) as terminal:
        written = terminal.ended()

    assert max(map(len, table)) <= 80
    assert "".join(line[5:] for line in table[2:4]).startswith("word word word")
    assert "row 1" in listed
    assert "a_rather_long_name_8  8" in screen_of(listed)
    assert r"\x1b[2J" in written
    assert "\x1b[2J" not in written


def test_stdin_may_hold_the_statement(site: Site) -> None:
    command = [sys.executable, "-m", "tidemark", "sql", "-", "--csv", "--warehouse-url", site.warehouse]
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        command, input="select 'it''s'\n  as a;\n", cwd=site.folder, capture_output=True, text=True, check=True
    )

    assert done.stdout == "a\nit's\n"
    for wrong in (b"select 1\0; select 2", b"select '\xff'"):
        for lake in ([], ["--lake"]):
            refused = subprocess.run([*command, *lake], input=wrong, cwd=site.folder, capture_output=True, check=False)  # noqa: S603 -- as above
            assert (refused.returncode, refused.stdout) == (2, b"")
            assert b"the statement " in refused.stderr


def test_the_lake_answers_under_the_names_of_the_warehouse_and_of_latest(loaded: Site, asked: Asked) -> None:
    counts = "select count(*)::integer as n from {}"

    for table, there in (("fact_sales_order", loaded.warehouse), ("dim_date", loaded.warehouse)):
        [(count,)] = loaded.query(there, counts.format(table))
        assert asked(loaded, "--lake", counts.format(table))["rows"] == [{"n": count}]
    [(count,)] = loaded.query(loaded.source, counts.format("sales_order"))
    assert asked(loaded, "--lake", counts.format("latest.sales_order"))["rows"] == [{"n": count}]
    assert asked(loaded, "--lake", counts.format("Latest.SALES_ORDER"))["rows"] == [{"n": count}]
    joined = (
        "with orders as (from fact_sales_order) select count(*)::integer as n from orders"
        " semi join latest.sales_order using (sales_order_id) inner join dim_currency using (currency_id)"
    )
    assert asked(loaded, "--lake", joined)["rows"] == [{"n": count}]
    tables = {(row["schema"], row["name"]) for row in asked(loaded, "--lake", "show all tables")["rows"]}
    assert {("main", "dim_staff"), ("main", "fact_payment"), ("latest", "payment")} <= tables
    assert "_hash" not in loaded.run("sql", "--lake", "describe latest.payment").stdout


def test_the_lake_shows_no_batch_before_its_manifest(
    small_totesys: Callable[..., Rig], tmp_path: Path, asked: Asked
) -> None:
    rig = small_totesys(2, str(tmp_path / ".tidemark"))
    site = Site(rig.source_url, rig.warehouse_url, tmp_path)
    counts = "select count(*)::integer as n, max(batch_id) as last, (select count(*) from latest.sales_order) as m"
    first = rig.manifests()[0].tables["sales_order"].rows

    whole = asked(site, "--lake", f"{counts} from fact_sales_order")["rows"]
    for bucket in ("ingestion", "processed"):
        (tmp_path / ".tidemark" / bucket / "batches" / "0000000002.json").unlink()

    assert whole[0]["last"] == 2
    assert asked(site, "--lake", f"{counts} from fact_sales_order")["rows"] == [{"n": first, "last": 1, "m": first}]


def test_the_lake_is_asked_wherever_it_lies(small_totesys: Callable[..., Rig], place: str) -> None:
    rig = small_totesys(1, place)

    with ask_lake(rig.model, rig.ingestion, rig.processed, "select count(*) from fact_payment") as answer:
        assert list(answer.rows) == [(str(rig.manifests()[0].tables["payment"].rows),)]


def test_a_mirror_is_asked_under_its_own_names_and_never_under_those_of_another_table(
    site: Site, new_database: Callable[..., str], asked: Asked
) -> None:
    site.query(
        site.warehouse,
        'create schema "Odd"; create table "Odd"."a.b""c" (id integer primary key, "Select" text);'
        ' create table film (id integer primary key); create table "Film" (id integer primary key);'
        ' insert into "Odd"."a.b""c" values (1, E\'it\\\'s\'); insert into film values (2);'
        ' insert into "Film" values (3)',
    )
    settings = ("--model", "mirror", "--schemas", "public,Odd", "--warehouse-url", new_database())
    site.run("run", *settings)

    odd = asked(site, *settings, "--lake", 'select id, "Select" as s from "Odd"."a.b""c_history"')
    latest = asked(site, *settings, "--lake", 'select id from latest."Odd.a.b""c"')
    error = asked(site, *settings, "--lake", "select * from public.film_history", expect=2)["error"]

    assert (odd["rows"], latest["rows"]) == ([{"id": "1", "s": "it's"}], [{"id": 1}])
    assert error["message"].endswith("and so not public.Film_history from public.film_history")


def test_the_lake_is_only_read_and_nothing_beside_it(
    loaded: Site, tmp_path: Path, errors: Callable[..., str], asked: Asked
) -> None:
    outside, inside = tmp_path / "outside.csv", tmp_path / ".tidemark" / "processed" / "made.csv"
    outside.write_text("a\n1\n", "utf-8")
    refused = {
        f"copy (select 1) to '{inside}'": "it is no SELECT",
        f"explain analyze copy (select 1) to '{inside}'": "it is no SELECT",
        "set memory_limit = '1TB'": "it is no SELECT",
        "create table x as select 1": "it is no SELECT",
        "attach ':memory:' as other": "it is no SELECT",
        f"from read_text('{outside}')": "the lake is all that can be read here",
        f"from '{outside}'": "the lake",
        "from read_text('/etc/hostname')": "the lake is all that can be read here",
        "select getenv('HOME')": "the lake refuses the statement",
        "select 1; select 2": "expected one statement, got 2",
        "select $1": "it has parameters such as $1",
        "": "expected a statement",
        "from nothing": "Table with name nothing does not exist! (line 1, column 6)",
        "select 1,\n  x from dim_date": "not found in FROM clause! (line 2, column 3)",
        "selec": 'syntax error at or near "selec" (line 1, column 1)',
    }

    got = {each: errors(loaded, "--lake", each) for each in refused}

    assert {each: got[each] for each, words in refused.items() if words not in got[each]} == {}
    assert not inside.exists()
    shown = asked(loaded, "--lake", "select currency_code::integer from dim_currency", expect=2)["error"]
    assert "GBP" not in json.dumps(shown)
    # The statement names files that do not fit together: no table has to be made again.
    for files in ("processed/**/*.parquet", "processed/none/*.parquet"):
        told = asked(loaded, "--lake", f"from read_parquet('{tmp_path}/.tidemark/{files}')", expect=2)["error"]
        assert "the lake has no such files, or they do not fit together" in told["message"]
        assert "rebuild" not in told["advice"]
    assert "dim_currency" in asked(loaded, "--lake", "from dim_curency", expect=2)["error"]["advice"]


def test_values_of_the_engine_come_out_as_it_writes_them(loaded: Site, asked: Asked) -> None:
    strange = (
        "select 170141183460469231731687303715884105727::hugeint as large, 1.5::decimal(38, 20) as digits,"
        " 'infinity'::timestamp as forever, [1, null] as list, {'a': 1} as struct, 'a' || chr(0) || chr(27) as codes,"
        " '\\xAA'::blob as bytes, null as nothing, true as yes, 2 as a, 3 as b"
    )

    (row,) = asked(loaded, "--lake", strange)["rows"]

    assert row == {
        "large": 2**127 - 1,
        "digits": "1.50000000000000000000",
        "forever": "infinity",
        "list": "[1, NULL]",
        "struct": "{'a': 1}",
        "codes": "a\x00\x1b",
        "bytes": "\\xAA",
        "nothing": None,
        "yes": True,
        "a": 2,
        "b": 3,
    }
    assert r"a\x00\x1b" in loaded.run("sql", "--lake", strange).stdout
    assert loaded.run("sql", "--lake", "select 1 as a, 2 as a", "--csv").stdout == "a,a\n1,2\n"


def test_a_question_to_the_warehouse_loads_no_engine(site: Site) -> None:
    found = imports_of("sql", "select 1", "--csv", folder=site.folder, TIDEMARK_WAREHOUSE_URL=site.warehouse)

    assert found & HEAVY == {"psycopg"}
    assert not any(name.startswith("rich.") for name in found)
