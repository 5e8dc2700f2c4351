"""The recipes of CONTRIBUTING name every file that they touch: a copy that follows them passes all checks and a run."""

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from tests.support.pipeline import Rig, clock, generated_totesys, rigs
from tests.support.postgres import Postgres
from tests.support.tampering import alter_database
from tidemark.model_reader import load_model
from tidemark.verification.verify import Verify
from tidemark.warehouse.schema import init

REPOSITORY = Path(__file__).parents[2]
MODEL = "src/tidemark/models/totesys/"
# What git does not keep, and what only makes the copy larger.
LEFT_OUT = shutil.ignore_patterns(".*", "__pycache__", "*.egg-info", "dist", "build", "aws")
ITEM = re.compile(r"^\d\. ((?:`[^`]+`(?: or )?)+)", re.MULTILINE)

SOURCE_TABLES = """
[source.refund_reason]
key = ["refund_reason_id"]
updated = "last_updated"

[source.refund]
key = ["refund_id"]
created = "created_at"
updated = "last_updated"

"""
SOURCE_SCHEMA = """
create table refund_reason (
    refund_reason_id integer primary key,
    refund_reason varchar not null,
    last_updated timestamp(3) not null default current_timestamp
);

create table refund (
    refund_id integer primary key,
    counterparty_id integer not null references counterparty,
    refund_reason_id integer not null references refund_reason,
    refund_amount numeric not null,
    refund_date varchar not null,
    created_at timestamp(3) not null default current_timestamp,
    last_updated timestamp(3) not null default current_timestamp
);
"""
STAR_TABLES = """
[star.dim_refund_reason]
kind = "dimension"
key = ["refund_reason_id"]
reads = ["refund_reason"]

[star.fact_refund]
kind = "fact"
key = ["refund_record_id"]
driving = "refund"
source_key = ["refund_id"]
reads = ["refund"]

[star.fact_refund.references]
counterparty_id = "dim_counterparty"
refund_reason_id = "dim_refund_reason"
refund_date = "dim_date"
"""
SOURCE_COLUMNS = """
[refund_reason]
refund_reason_id = "integer not null"
refund_reason = "character varying not null"
last_updated = "timestamp(3) without time zone not null"

[refund]
refund_id = "integer not null"
counterparty_id = "integer not null"
refund_reason_id = "integer not null"
refund_amount = "numeric not null"
refund_date = "character varying not null"
created_at = "timestamp(3) without time zone not null"
last_updated = "timestamp(3) without time zone not null"
"""
WAREHOUSE = """
comment on table dim_refund_reason is 'Why money was given back.';
"""
DIMENSION = """select
    refund_reason_id,
    refund_reason
from refund_reason
"""
FACT = """select
    refund_id,
    counterparty_id,
    refund_reason_id,
    refund_amount,
    refund_date
from refund
"""
COMMAND = '''"""The command `greet`: says hello."""

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import out, print_json


def greet(ctx: typer.Context) -> None:
    """Say hello.

    Example: `tidemark greet`
    """
    if invocation(ctx).as_json:
        print_json({"greeting": "hello"})
    else:
        out().print("hello")
'''
HEADINGS = ("Context", "Choice", "Pros and cons", "When to revisit")
# The tests that look at settings, commands and documentation as a whole, and those that look at models.
OF_THE_WHOLE = [f"test_{name}.py" for name in ("docs", "layout", "model", "settings", "cli_settings", "cli_help")]
OF_MODELS = ["test_totesys_model.py", "test_warehouse_sql.py"]


def files_of(recipe: str) -> list[str]:
    """Return the files that a recipe names, item by item; both where an item gives a choice."""
    text = (REPOSITORY / "CONTRIBUTING.md").read_text("utf-8")
    told = text.partition(f"**{recipe}.**")[2].partition("\n**")[0]
    folder = re.match(r"[^.]*, all in `([^`]+)`", told)
    items = [re.findall(r"`([^`]+)`", item) for item in ITEM.findall(told)]
    counted = {"One": 1, "Two": 2, "Three": 3}[told.split()[0]]
    assert len(items) == counted, f"{recipe}: {counted} files are promised, {len(items)} are named"
    return [(folder[1] if folder else "") + name for names in items for name in names]


def put(path: Path, text: str, *, behind: str | None = None) -> None:
    """Write a new file, or put text into one that is there: behind a line that holds `behind`, else at its end."""
    if not path.exists():
        path.write_text(text, "utf-8")
        return
    lines = path.read_text("utf-8").splitlines(keepends=True)
    at = len(lines) if behind is None else 1 + max(number for number, line in enumerate(lines) if behind in line)
    path.write_text("".join([*lines[:at], text, *lines[at:]]), "utf-8")


def contents(folder: Path) -> Mapping[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def new_source_table(copy: Path) -> list[str]:
    model, columns, schema = files_of("Add a source table")
    text = (copy / model).read_text("utf-8")
    (copy / model).write_text(text.replace("# Star tables,", SOURCE_TABLES.lstrip() + "# Star tables,", 1), "utf-8")
    put(copy / columns, SOURCE_COLUMNS)
    put(copy / schema, SOURCE_SCHEMA)
    return [model, columns, schema]


def new_star_table(copy: Path) -> list[str]:
    fact, dimension, model, warehouse = files_of("Add a star table")
    fact, dimension = fact.replace("<name>", "refund"), dimension.replace("<name>", "refund_reason")
    put(copy / fact, FACT)
    put(copy / dimension, DIMENSION)
    put(copy / model, STAR_TABLES)
    put(copy / warehouse, WAREHOUSE)
    return [fact, dimension, model, warehouse]


def new_setting(copy: Path) -> list[str]:
    settings, options, page = files_of("Add a setting")
    put(copy / settings, "    greeting: str | None = None\n", behind="    sslrootcert: str")
    flag = '    greeting: Annotated[str | None, _setting("TEXT", "What to say.")] = None,\n'
    put(copy / options, flag, behind="    sslrootcert: Annotated")
    put(copy / page, "| `TIDEMARK_GREETING` | what to say | none |\n", behind="| `TIDEMARK_SSLROOTCERT`")
    return [settings, options, page]


def new_command(copy: Path) -> list[str]:
    command, app, page = files_of("Add a command")
    command = command.replace("<name>", "greet")
    put(copy / command, COMMAND)
    put(copy / app, '    "greet": "greet",\n', behind='    "generate": ')
    put(copy / page, "| `tidemark greet` | says hello |\n", behind="| `tidemark generate`")
    return [command, app, page]


def new_decision(copy: Path) -> list[str]:
    (file,) = files_of("Record a decision")
    number = f"{len(list((copy / 'docs' / 'decisions').iterdir())) + 1:04d}"
    file = file.replace("<next number>", number).replace("<name>", "greetings")
    put(copy / file, "\n\n".join([f"# {number} Greetings", *(f"## {each}\n\nWords." for each in HEADINGS)]) + "\n")
    return [file]


RECIPES = [new_source_table, new_star_table, new_setting, new_command, new_decision]


@pytest.fixture(scope="module")
def copied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the repository on which all recipes were followed."""
    copy = Path(shutil.copytree(REPOSITORY, tmp_path_factory.mktemp("recipes") / "copy", ignore=LEFT_OUT))
    for kept in ("src/tidemark/aws", "tests/aws"):
        shutil.copytree(REPOSITORY / kept, copy / kept, ignore=shutil.ignore_patterns("__pycache__"))
    for hidden in (".ci", ".github"):
        shutil.copytree(REPOSITORY / hidden, copy / hidden)
    before = contents(copy)

    named = {file for follow in RECIPES for file in follow(copy)}

    after = contents(copy)
    assert {name for name in after if after[name] != before.get(name)} == named
    return copy


def run_in(copy: Path, *arguments: str) -> None:
    done = subprocess.run([sys.executable, "-m", *arguments], cwd=copy, capture_output=True, text=True, check=False)  # noqa: S603 -- our own tools
    assert done.returncode == 0, f"{' '.join(arguments)}\n{done.stdout[-5000:]}{done.stderr[-2000:]}"


@pytest.mark.parametrize(
    ("folder", "files"), [("unit", OF_THE_WHOLE), pytest.param("models", OF_MODELS, marks=pytest.mark.exhaustive)]
)
def test_the_tests_pass_with_what_the_recipes_added(
    folder: str, files: list[str], copied: Path, totesys_rows: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(copied / "src"))
    monkeypatch.setenv("TIDEMARK_TOTESYS_ROWS", str(totesys_rows))
    run_in(
        copied,
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        f"--basetemp={tmp_path / 'within'}",
        *(f"tests/{folder}/{file}" for file in files),
        "-k",
        "not heavy",
    )


def test_lint_passes_with_what_the_recipes_added(copied: Path) -> None:
    selects = [MODEL + "fact/refund.sql", MODEL + "dimension/refund_reason.sql"]
    run_in(copied, "ruff", "check", "--quiet", "--no-cache", ".")
    run_in(copied, "ruff", "format", "--quiet", "--no-cache", "--diff", ".")
    run_in(copied, "sqlfluff", "lint", "--quiet", "--dialect", "duckdb", *selects)
    run_in(copied, "sqlfluff", "lint", "--quiet", "--dialect", "postgres", MODEL + "warehouse.sql")


@pytest.fixture(scope="module")
def made(copied: Path, postgres: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rig]:
    """A pipeline of the copy's model after two batches; its warehouse was made by the model as it was, and upgraded."""
    with rigs(postgres, str(tmp_path_factory.mktemp("refunds"))) as create:
        shipped = create(postgres.template("handful_of_totesys", generated_totesys(scale=0.002)))
        rig = replace(shipped, model=load_model(str(copied / MODEL)))
        assert init(rig.warehouse_url, rig.model) != []
        rig.change(
            SOURCE_SCHEMA,
            "insert into refund_reason values (1, 'broken'), (2, 'late')",
            "insert into refund select n, 1 + n % 5, 1 + n % 2, n * 1.1, '2024-11-0' || n "
            "from generate_series(1, 9) as n",
        )
        rig.run()
        rig.change("update refund set refund_amount = 5, last_updated = now() where refund_id = 3")
        rig.change("delete from refund where refund_id = 4")
        rig.run()
        yield rig


def test_a_pipeline_brings_the_rows_of_the_new_tables(made: Rig) -> None:
    parts = (made.model, made.ingestion, made.processed, made.pointer, made.source_url, made.warehouse_url)
    found = Verify(*parts, clock).run()

    assert (found.count, found.exit_code) == (0, 0)
    assert [edge.skipped for edge in found.edges] == [""] * len(found.edges)
    assert made.count("fact_refund") == 11
    shown = "select refund_id, refund_amount from {} order by refund_id"
    assert made.warehouse(shown.format("fact_refund_current")) == made.source(shown.format("refund"))
    ((before,),) = made.warehouse("select min(valid_to) - interval '1 microsecond' from fact_refund")
    assert len(made.warehouse("select from fact_refund_as_of(%s)", [before])) == 9


def test_the_laws_hold_for_the_new_tables(made: Rig, new_database: Callable[..., str]) -> None:
    copy = new_database(made.warehouse_url.partition("?")[0].rpartition("/")[2])
    alter_database(
        copy,
        "alter table fact_refund drop constraint fact_refund_refund_reason_id_fkey",
        "delete from dim_refund_reason where refund_reason_id = 2",
        "update fact_refund set valid_to = valid_from + interval '1 day' where refund_id = 5",
    )

    broken = replace(made, warehouse_url=copy).broken_laws()

    assert broken.keys() == {"references", "intervals", "current versions"}
    assert {each.key["table"] for proof in broken.values() for each in proof.differences} == {"fact_refund"}
    indexes = made.warehouse("select indexname::text from pg_indexes where tablename = 'fact_refund'")
    assert {"fact_refund_history_key", "fact_refund_current_key"} <= {name for (name,) in indexes}
