"""A mirror's pipeline for the tests, and what they ask of it."""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager

from psycopg import sql

from tests.support.pipeline import Rig, as_text, clock, open_rig
from tests.support.postgres import Postgres
from tidemark.doctor.selects import examine_selects
from tidemark.mirror import Mirror, Scope, mirror_of
from tidemark.pipeline import wire
from tidemark.settings import Settings
from tidemark.verification.result import Verification
from tidemark.verification.verify import Verify

COLUMNS = (
    "select attname::text from pg_attribute where attrelid = %s::regclass and attnum > 0 and not attisdropped"
    " order by attnum"
)


@contextmanager
def mirror_rig(postgres: Postgres, folder: str, scope: Scope) -> Iterator[tuple[Rig, Callable[[], str]]]:
    """Give a mirror's pipeline with an empty source and an empty warehouse, and what makes one more database for it."""
    names: list[str] = []

    def new_database() -> str:
        names.append(postgres.create())
        return postgres.url(names[-1])

    yield open_rig(mirror_of({}, scope), new_database(), new_database(), folder), new_database
    for name in names:
        postgres.drop(name)


def known(rig: Rig) -> Mirror:
    """Give the mirror as of the newest batch, as commands see it."""
    model = rig.model.following(rig.newest().mirrored)
    assert isinstance(model, Mirror)
    return model


def verified(rig: Rig, *, deep: bool = True, only: Collection[str] = ()) -> Verification:
    """Verify all places, `deep` for the log to the bottom, and `only` for some tables if there are any."""
    parts = (rig.ingestion, rig.processed, rig.pointer, rig.source_url, rig.warehouse_url, clock, None)
    model = known(rig)
    some = model.following({name: each for name, each in model.tables.items() if not only or name in only})
    return Verify(some, *parts).run(deep=deep)


def found_wrong(rig: Rig, *, deep: bool, only: Collection[str] = ()) -> list[str]:
    """Verify as `verified` does, and name what is wrong, or nothing."""
    result = verified(rig, deep=deep, only=only)
    found = [
        f"{edge.name}: {proof.table}: {proof.count} {proof.problem}"
        for edge in result.edges
        for proof in edge.tables
        if proof.count or proof.problem
    ]
    return found or ([] if result.exit_code == 0 else [f"exit code {result.exit_code}"])


def differing_columns(rig: Rig) -> list[str]:
    """Name the columns of followed tables whose texts differ between source and warehouse; that there are any."""
    wrong, compared = [], 0
    for name, each in known(rig).tables.items():
        if not each.is_followed:
            continue
        place = sql.Identifier(each.schema, each.table)
        columns = [row[0] for row in rig.source(COLUMNS, [place.as_string()])]
        fields = sql.SQL(", ").join(map(sql.Identifier, columns))
        alone = sql.SQL("" if each.is_partitioned else "only ")
        source, warehouse = (
            as_text(url, sql.SQL("select {} from {}{}").format(fields, only, place).as_string())
            for url, only in ((rig.source_url, alone), (rig.warehouse_url, sql.SQL("")))
        )
        compared += len(columns)
        if source != warehouse:
            both = [zip(columns, *rows, strict=True) for rows in zip(source, warehouse, strict=False)]
            wrong += sorted({f"{name}.{column}" for row in both for column, a, b in row if a != b}) or [name]
    return wrong if compared else ["nothing was compared"]


def columns(rig: Rig, schema: str, table: str) -> list[tuple[str, str]]:
    """Give a table's columns in the warehouse, with their types."""
    return rig.warehouse(
        "select attname::text, format_type(atttypid, atttypmod) from pg_attribute"
        " where attrelid = %s::regclass and attnum > 0 order by attnum",
        [sql.Identifier(schema, table).as_string()],
    )


def types_in_warehouse(rig: Rig, schema: str, table: str) -> dict[str, str]:
    """Give the types of a mirrored table's columns in the warehouse, by the names that the source has for them."""
    return dict(columns(rig, schema, table))


def same(rig: Rig, query: str) -> bool:
    """Say whether source and warehouse answer a query with the same texts."""
    return as_text(rig.source_url, query) == as_text(rig.warehouse_url, query)


def doctor_says(rig: Rig) -> list[str]:
    """Give what doctor finds of the mirror."""
    settings = Settings(
        source_url=rig.source_url,
        warehouse_url=rig.warehouse_url,
        ingestion=rig.ingestion.url("x")[:-2],
        model="mirror",
        schemas=",".join(known(rig).scope.schemas),
    )
    return [each.found for each in examine_selects(wire(settings))]
