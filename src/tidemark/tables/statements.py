"""The statements that make the warehouse's tables: the model's own, and the derived ones of tables that it lacks."""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from tidemark.errors import ConfigError
from tidemark.log.columns import Column
from tidemark.model import Model, SourceColumn, StarTable
from tidemark.model_source import FILE, read_source
from tidemark.named_sql import filled
from tidemark.postgres.statements import EARLY, bare, created, split_statements
from tidemark.tables.comments import comments
from tidemark.tables.derivation import Derivation, TableColumn, derive
from tidemark.tables.names import constraint, written

ADVICE = (
    f"put a {FILE} beside the model.toml, or make a first run, whose log has the columns; or name the source"
    " (TIDEMARK_SOURCE_URL)"
)


def warehouse_sql(model: Model) -> str:
    """Give all statements that make the warehouse's tables, keys, comments, and what the model adds.

    Raises:
        ConfigError: a table that the model's warehouse.sql lacks cannot be derived; every reason is named.
    """
    faults = [*_derived(model).faults, *_surplus(model)]
    if faults:
        mend = f"mend the model at {model.directory}"
        if (model.directory / FILE).is_file():
            mend += f"; a column that a SELECT reads has to be in its {FILE}"
        raise ConfigError.of(faults, advice=ADVICE if lacking(model) else mend)
    return known_sql(model)


def known_sql(model: Model) -> str:
    """Give the statements of `warehouse_sql` without those of tables that cannot be derived."""
    tables = _derived(model).tables
    if not tables:
        return model.warehouse_sql
    own = list(split_statements(model.warehouse_sql))
    early = [each for each in own if EARLY.match(bare(each))]
    made = [each for each in own if each not in early and (created(each) or ("",))[0] == "table"]
    rest = [each for each in own if each not in early and each not in made]
    dimensions = [_table(model, star, tables[star.name]) for star in model.dimensions if star.name in tables]
    facts = [star for star in model.facts if star.name in tables]
    derived = [
        *(_table(model, star, tables[star.name]) for star in facts),
        *(each for star in facts for each in comments(star)),
    ]
    # A table comes after those that its references name, and a type before the table that has it.
    return "".join(f"{each};\n\n" for each in (*early, *dimensions, *made, *derived, *rest))


def lacking(model: Model) -> list[str]:
    """Name the source tables whose columns are needed to derive the warehouse's tables, and are not known."""
    known = _columns(model)
    return sorted({name for star in _undefined(model) for name in star.reads if not known.get(name)})


def completed(model: Model, columns: Mapping[str, Sequence[SourceColumn]]) -> Model:
    """Give a model the columns that it lacks; those that it has, by its source.toml or from elsewhere, stay."""
    unknown = [name for name in lacking(model) if columns.get(name)]
    if not unknown:
        return model
    made = replace(model, columns={**model.columns, **{name: tuple(columns[name]) for name in unknown}})
    text = repr(sorted(_derived(made).tables.items()))
    return replace(made, derived=hashlib.sha256(text.encode()).hexdigest())


def _undefined(model: Model) -> tuple[StarTable, ...]:
    """Give the star tables whose tables no statement of the model makes, dimensions before facts."""
    own = _written(model)
    return tuple(star for star in (*model.dimensions, *model.facts) if star.name not in own)


def _written(model: Model) -> set[str]:
    """Name the tables that the model's warehouse.sql makes."""
    made = (created(each) or ("", "") for each in split_statements(model.warehouse_sql))
    return {name for kind, name in made if kind == "table"}


def _surplus(model: Model) -> Iterator[str]:
    """Say what model.toml has of tables that do not follow from it, where it would be passed over."""
    own = _written(model)
    for star in (star for star in model.stars.values() if star.name in own):
        said = {"types": star.types, "nullable": star.nullable, "not_null": star.not_null}
        for setting in (setting for setting, names in said.items() if names):
            yield f"[star.{star.name}] has {setting}, but warehouse.sql makes the table: say it there"


def _columns(model: Model) -> dict[str, tuple[Column, ...]]:
    given = {
        name: tuple(Column(each.name, each.type, each.nullable) for each in columns)
        for name, columns in model.columns.items()
    }
    return given | read_source(model.directory)


def _derived(model: Model) -> Derivation:
    stars = _undefined(model)
    if not stars:
        return Derivation()
    read = {name for star in stars for name in star.reads}
    columns = tuple((name, found) for name, found in _columns(model).items() if name in read)
    return derive(stars, columns, tuple(model.seeds.items()))


def _table(model: Model, star: StarTable, columns: Sequence[TableColumn]) -> str:
    lines = [f"{written(each.name)} {each.type}{' not null' * each.is_required}" for each in columns]
    lines.append(f"{constraint(star.name, 'pkey')}primary key ({', '.join(map(written, star.key))})")
    lines += _rules(model, star) if star.kind == "fact" else ()
    return filled("tables", "create_table", {"table": written(star.name), "definitions": ",\n    ".join(lines)})


def _rules(model: Model, fact: StarTable) -> Iterator[str]:
    """Write what holds for a fact's rows: a reference finds its row, and a version ends after it begins."""
    for column, name in fact.references.items():
        key = model.stars[name].key
        if len(key) == 1:
            yield (
                f"{constraint(fact.name, column, 'fkey')}foreign key ({written(column)})\n"
                f"        references {written(name)} ({written(key[0])})"
            )
    yield f"{constraint(fact.name, 'valid_to', 'check')}check (valid_to > valid_from)"
