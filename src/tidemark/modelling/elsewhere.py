"""Elsewhere: whether a model's SELECTs mean in Spark what they mean in DuckDB.

Two things tell: what sqlglot says of the words, and both engines over the same made-up rows.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import duckdb

from tidemark.disclosure import told
from tidemark.errors import ConfigError, DataError
from tidemark.extras import needed_for
from tidemark.lake.engine import Engine
from tidemark.lake.spark import SAIL, Spark, open_spark
from tidemark.lake.spark_rows import made_rows
from tidemark.lake.sqltext import (
    Condition,
    Rows,
    Select,
    from_lines,
    names,
    quoted,
    same,
    select,
)
from tidemark.log.columns import Column
from tidemark.model import Model, StarTable
from tidemark.modelling.edge_rows import calendar_days, edge_rows
from tidemark.modelling.places import Places
from tidemark.modelling.problem import Problem
from tidemark.modelling.select_files import yielded
from tidemark.star.passing import seen_by
from tidemark.star.selects import may_read, tree_of
from tidemark.star.star_sql import typed
from tidemark.tables.derivation import CALENDAR, DAY

# What the text form of COPY writes otherwise.
ESCAPED = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
Columns = Mapping[str, Sequence[Column]]


@dataclass
class Elsewhere:
    """What was found: the problems, and the star tables whose SELECT ran on both engines over the same rows."""

    problems: list[Problem] = field(default_factory=list)
    compared: list[str] = field(default_factory=list)


def faults_elsewhere(engine: Engine, model: Model, columns: Columns, places: Places) -> Elsewhere:
    """Find what of a model's SELECTs does not mean the same in Spark.

    Args:
        engine: has nothing of the model yet.
        model: its SELECTs are right for DuckDB.
        columns: the columns of its source tables, as far as they are known. Only a SELECT of such tables is run.
        places: finds the lines.

    Raises:
        ConfigError: the extra `spark` is not installed.
    """
    with needed_for("spark"):
        from tidemark.lake.carrying import faults_of_carrying  # noqa: PLC0415 -- an extra

    found = Elsewhere()
    types = {name: {column.name: column.typed for column in of} for name, of in columns.items()}
    for star in model.stars.values():
        file, first = f"{star.path}.sql", places.at_byte(f"{star.path}.sql", star.sql, 0)
        reads = {name: types[name] for name in star.reads if name in types}
        found.problems += [
            Problem(file, first + fault.line - 1, f"{file} {fault.said}", fault.advice)
            for fault in faults_of_carrying(star.sql, reads)
        ]
    with open_spark(SAIL) as spark:
        compare(engine, spark, model, columns, places, found)
    return found


def compare(engine: Engine, spark: Spark, model: Model, columns: Columns, places: Places, found: Elsewhere) -> None:
    """Run each SELECT on both engines over the same rows."""
    engine.seeds(model.seeds)
    days = written(engine, calendar_days(), {DAY: "DATE"})
    engine.view(CALENDAR, select("files", "all", rows=days))
    words = list(_words_of_seeds(engine, model))
    rows = {
        name: written(engine, edge_rows(model.sources[name], of, words), {each.name: each.log_type for each in of})
        for name, of in columns.items()
    }
    said = {(problem.file, problem.line) for problem in found.problems}
    for star in model.stars.values():
        if not all(name in columns for name in star.reads):
            continue
        seen = seen_by(engine, star, model.sources, {name: columns[name] for name in star.reads})
        for name in star.reads:
            engine.view(name, typed(rows[name], seen[name]))
        problems = _difference(engine, spark, star, model, places)
        if problems is not None:
            found.compared.append(star.name)
            found.problems += [each for each in problems if (each.file, each.line) not in said]


def written(engine: Engine, rows: Iterable[Sequence[str | None]], types: Mapping[str, str]) -> Rows:
    """Write rows into a scratch file in the text form of COPY, and give them as a FROM item."""
    path = engine.new_file(".copy")
    lines = ("\t".join("\\N" if value is None else value.translate(ESCAPED) for value in row) for row in rows)
    # The reader passes over the line before the rows.
    path.write_text("\n" + "".join(f"{line}\n" for line in lines), "utf-8", newline="")
    return from_lines([path], types, path.stat().st_size)


def _words_of_seeds(engine: Engine, model: Model) -> Iterator[str]:
    """Give the texts of the first two rows of each seed."""
    for name in model.seeds:
        for row in engine.execute(select("files", "all", rows=Rows(quoted(name)))).fetchall()[:2]:
            yield from (value for value in row if isinstance(value, str))


def _difference(engine: Engine, spark: Spark, star: StarTable, model: Model, places: Places) -> list[Problem] | None:
    """Compare the rows of a SELECT; None if DuckDB itself cannot run it on made-up rows."""
    file = f"{star.path}.sql"
    try:
        kinds = engine.describe(Select(star.sql))
        with engine.working_tables() as tables:
            mine = tables.of(Select(star.sql))
            try:
                theirs = tables.of(made_rows(engine, spark, star.sql, may_read(star, model.seeds), tables))
            except (ConfigError, DataError, duckdb.Error) as exc:
                said = exc.message if isinstance(exc, ConfigError | DataError) else told(exc)
                line = _failing(engine, spark, star, model, places)
                return [Problem(file, line, f"{file}: {said}", "write it in words that Spark has")]
            return list(_differing(engine, star, mine, theirs, kinds, places))
    except duckdb.Error:
        return None


def _failing(engine: Engine, spark: Spark, star: StarTable, model: Model, places: Places) -> int:
    """Give the line of the only column with which a SELECT fails in Spark; its first line if that is not one column."""
    from tidemark.lake.carrying import one_column  # noqa: PLC0415 -- an extra

    failing = []
    for name, line in _lines(engine, star, places).items():
        alone = one_column(star.sql, name)
        try:
            with engine.working_tables() as tables:
                if alone:
                    tables.of(made_rows(engine, spark, alone, may_read(star, model.seeds), tables))
        except (ConfigError, DataError, duckdb.Error):
            failing.append(line)
    return failing[0] if len(failing) == 1 else places.at_byte(f"{star.path}.sql", star.sql, 0)


def _lines(engine: Engine, star: StarTable, places: Places) -> dict[str, int]:
    """Give the line of each column that a SELECT yields."""
    columns = yielded(tree_of(engine, star)) or ()
    return {name: places.at_byte(f"{star.path}.sql", star.sql, byte) for name, byte in columns}


def _differing(
    engine: Engine, star: StarTable, mine: Rows, theirs: Rows, kinds: Mapping[str, str], places: Places
) -> Iterator[Problem]:
    file = f"{star.path}.sql"
    at = _lines(engine, star, places)
    keys = names(star.row_key)
    if engine.value(select("modelling", "other_keys", keys=keys, mine=mine, theirs=theirs)):
        line = at.get(star.row_key[0], 1)
        said = f"{file} yields other rows in Sail than in DuckDB"
        yield Problem(
            file, line, said, "compare its joins and filters, which see made-up rows with nulls in each column"
        )
        return
    for name in kinds:
        column = quoted(name)
        found = engine.execute(
            select(
                "modelling",
                "other_value",
                mine=mine,
                theirs=theirs,
                same=same(star.row_key, "m.", "t."),
                one=quoted(name, "m."),
                other=quoted(name, "t."),
                keys=names(star.row_key, "m."),
                differs=Condition(f"m.{column} is distinct from t.{column}"),
            )
        ).fetchone()
        if found:
            said = f"{file} yields another {name} in Sail: DuckDB gives {found[0]!r}, and Sail {found[1]!r}"
            yield Problem(file, at.get(name, 1), said, "write it in words that mean the same to both engines")
