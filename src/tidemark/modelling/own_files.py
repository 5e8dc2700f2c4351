"""The files beside model.toml and the SELECTs: seeds, checks, warehouse.sql, each by itself."""

import csv
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain
from pathlib import Path

import psycopg

from tidemark.disclosure import told
from tidemark.errors import ConfigError
from tidemark.lake.engine import Engine
from tidemark.model import Model, StarTable
from tidemark.model_source import FILE, read_source
from tidemark.modelling.places import WAREHOUSE, Places
from tidemark.modelling.problem import Problem
from tidemark.modelling.toml_lines import line_of, line_of_error, lines_of
from tidemark.postgres.session import Session
from tidemark.postgres.statements import TOKEN, bare, split_statements
from tidemark.star.limits import Limit
from tidemark.star.shape import faults_of_tables
from tidemark.tables.statements import lacking, warehouse_sql

READS = re.compile(r"(?:\(|select\b|with\b|values\b|table\b)", re.IGNORECASE)
NO_CSV = "separate fields by commas, give each line as many as the header, and quote with double quotes"
SYNTAX_ERROR = "42601"


def with_stars(model: Model, stars: Mapping[str, StarTable]) -> Model:
    """Give the model with some of its star tables, their references among themselves, and the same seeds."""
    dimensions = {name for name, star in stars.items() if star.kind != "fact"}
    kept = {
        name: replace(star, references={column: to for column, to in star.references.items() if to in dimensions})
        for name, star in stars.items()
    }
    made = replace(model, stars=kept)
    vars(made)["seeds"] = model.seeds
    return made


def faults_of_seeds(engine: Engine, model: Model, places: Places) -> Iterator[Problem]:
    """Find seeds that are no CSV with a header and as many fields in each line."""
    for name, path in model.seeds.items():
        file = f"seed/{path.name}"
        found = next(_faults_of_csv(file, places.text(file)), None)
        if found:
            yield found
            continue
        try:
            engine.seeds({name: path})
        except ConfigError as exc:
            yield Problem(file, 1, exc.message.replace(str(path), file), NO_CSV)


def _faults_of_csv(file: str, text: str) -> Iterator[Problem]:
    rows = csv.reader(text.removeprefix("\ufeff").splitlines(keepends=True), strict=True)
    try:
        header = next(rows, [])
        lower = [name.lower() for name in header]
        twice = [name for name in header if lower.count(name.lower()) > 1]
        if not header or not all(header):
            yield Problem(file, 1, "the seed has no header with a name for each column", NO_CSV)
        elif twice:
            yield Problem(file, 1, f"the seed has two columns {', '.join(twice)}", "give one of them another name")
        for row in rows:
            if row and len(row) != len(header):
                said = f"the line has {len(row)} fields: expected {len(header)}, as many as the header"
                yield Problem(file, rows.line_num, said, NO_CSV)
    except csv.Error as exc:
        yield Problem(file, rows.line_num, f"the seed is no CSV: {exc}", NO_CSV)


def faults_of_source_file(directory: Path, places: Places) -> Iterator[Problem]:
    """Find what is no column in source.toml."""
    lines = lines_of(places.text(FILE))
    try:
        places.columns |= {column.name for columns in read_source(directory).values() for column in columns}
    except ConfigError as exc:
        for problem in exc.problems:
            sentence = problem.removeprefix(f"{directory / FILE}: ").removeprefix(f"{directory / FILE} ")
            named = next((path for path in lines if sentence.startswith(f"[{path[0]}] {path[-1]} ")), ())
            line = line_of(lines, named) if named else line_of_error(sentence)
            yield Problem(FILE, line, sentence, exc.advice)


def faults_of_warehouse(model: Model, limits: Mapping[str, Mapping[str, Limit]], places: Places) -> Iterator[Problem]:
    """Find tables of the warehouse, written or derived, with columns that the star cannot have."""
    yield from map(places.problem, faults_of_tables(model, limits))


def faults_of_derivation(model: Model, places: Places) -> Iterator[Problem]:
    """Find star tables whose table nobody has written and that cannot be derived, though the columns are known."""
    unknown = set(lacking(model))
    stars = {name: star for name, star in model.stars.items() if not unknown.intersection(star.reads)}
    try:
        warehouse_sql(with_stars(model, stars))
    except ConfigError as exc:
        yield from map(places.problem, exc.problems)


def faults_of_checks(model: Model, places: Places) -> Iterator[Problem]:
    """Find checks that are not one SELECT."""
    for name, text in model.checks.items():
        file = f"checks/{name}.sql"
        statements = list(split_statements(text))
        if len(statements) != 1 or not READS.match(bare(statements[0])):
            said = "the check is not one SELECT: expected one that returns the rows which break the law"
            line = places.text(file).count("\n", 0, text.find(bare(statements[0]))) + 1 if statements else 1
            yield Problem(file, line, said, "write one SELECT, and nothing that changes rows")
        elif open_bracket := _unbalanced(statements[0]):
            yield Problem(file, 1, f"the check has {open_bracket}", "close what it opens")


def _unbalanced(statement: str) -> str:
    """Say what a statement opens and does not close; empty where it closes all."""
    rest = TOKEN.sub(" ", statement)
    if "'" in rest or '"' in rest:
        return "a quote that is not closed"
    return "" if rest.count("(") == rest.count(")") else f"{rest.count('(')} ( and {rest.count(')')} )"


def faults_of_syntax(connection: Session, model: Model, places: Places) -> Iterator[Problem]:
    """Have PostgreSQL parse warehouse.sql and the checks, which are its own SQL; nothing of them is run.

    PL/pgSQL parses each statement of a block when it reads the block, and the block returns before the first of them.
    """
    texts = {f"checks/{name}.sql": text for name, text in model.checks.items()}
    if (model.directory / WAREHOUSE).is_file():
        texts[WAREHOUSE] = model.warehouse_sql
    for file, statement in chain.from_iterable(
        ((file, statement) for statement in split_statements(text)) for file, text in texts.items()
    ):
        tag = next(
            tag for tag in (f"$tidemark{number}$" for number in range(len(statement) + 1)) if tag not in statement
        )
        head = f"do {tag} begin return;\n"
        try:
            with connection.transaction():
                connection.execute(f"{head}{statement}\n;end {tag}".encode())
        except psycopg.Error as exc:
            if exc.sqlstate != SYNTAX_ERROR:
                continue
            at = places.text(file).find(statement) + int(exc.diag.statement_position or 1) - 1 - len(head)
            line = places.text(file).count("\n", 0, max(at, 0)) + 1
            yield Problem(file, line, f"the statement does not parse: {told(exc)}", "mend it there")
