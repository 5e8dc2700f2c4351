"""What a small batch writes: kilobytes, whatever the size of the table, and few objects."""

from collections.abc import Callable
from pathlib import Path

from tests.support.small_source import SmallSource
from tidemark.lake.table import open_table

ROWS = 10_000
MODEL = """
[source.note]
key = ["note_id"]
updated = "last_updated"
"""
TABLE = "create table note (note_id integer primary key, body text, last_updated timestamp not null default now())"
# A text that no compression makes small.
TEXT = "(select string_agg(md5(i::text || j), '') as text from generate_series(1, 6) as j) as six"
FILL = f"insert into note select i, text from generate_series(1, {ROWS}) as i, lateral {TEXT}"
CHANGE = "update note set body = body || '!', last_updated = clock_timestamp() where note_id in "
TOGETHER = f"(select {ROWS} - i from generate_series(0, 10) as i)"
SCATTERED = "(10, 700, 1700, 2300, 3000, 4000, 5000, 6000, 7000, 8000, 9000)"


def test_a_small_batch_writes_kilobytes(tmp_path: Path, new_database: Callable[..., str]) -> None:
    source = SmallSource(tmp_path, new_database(), MODEL)
    source.execute(TABLE, FILL)
    source.ingest()
    whole_bytes = sum(size for key, size in objects(source).items() if key.startswith("latest/"))
    assert whole_bytes > 1_000_000

    # A file is cut when it is touched, so the first such change still writes it whole.
    first_files, first_bytes = written(source, CHANGE + TOGETHER)
    assert first_files < 30
    assert first_bytes < 1.2 * whole_bytes
    together = [written(source, CHANGE + TOGETHER) for _ in range(2)]
    scattered = [written(source, CHANGE + SCATTERED) for _ in range(2)]

    # The manifest, the object of the log, a commit of latest, its data file or files, and the sums of latest.
    assert together[-1][0] == 5
    assert together[-1][1] < 64_000
    assert scattered[-1][1] < whole_bytes / 2
    lake = open_table(source.objects, "latest/note")
    assert lake is not None
    assert len(lake.files) < 60
    assert source.latest("note") == source.source("note")


def written(source: SmallSource, change: str) -> tuple[int, int]:
    """Change the source and poll it; return how many objects the ingestion bucket has got, and how many bytes."""
    source.execute(change)
    before = objects(source)
    assert source.ingest() is not None
    new = {key: size for key, size in objects(source).items() if key not in before}
    return len(new), sum(new.values())


def objects(source: SmallSource) -> dict[str, int]:
    return {each.key: each.size for each in source.objects.list()}
