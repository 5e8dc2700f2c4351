"""The real rows of totesys in slices, with a run of the pipeline after each."""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from tests.support.pipeline import Rig, real_totesys, rigs, totesys_script
from tests.support.postgres import Postgres

SLICES = 12


@dataclass(frozen=True)
class Replay:
    """A pipeline that ran after each slice, one that ran once at the end, and the moments at which the slices end."""

    rig: Rig
    at_once: Rig
    ends: Sequence[str]
    payments: Sequence[dict[str, str]]
    place: str

    def batch_of(self, moment: str) -> int:
        """Return the batch that brought what happened at a moment."""
        return bisect_left(self.ends, moment) + 1


@contextmanager
def replayed(postgres: Postgres, totesys_rows: Path, folder: Path) -> Iterator[Replay]:
    """Replay the real rows in slices of as many payments; both lakes lie in `folder`."""
    script = totesys_script(totesys_rows)
    payments = script.rows("payment")[1]
    moments = sorted({row[column] for row in payments for column in ("created_at", "last_updated")})
    ends = [*(moments[len(moments) * n // SLICES] for n in range(1, SLICES)), script.FAR]
    empty = postgres.template("empty_totesys", real_totesys(totesys_rows, whole=False))
    whole = postgres.template("real_totesys", real_totesys(totesys_rows, whole=True))
    place = str(folder / "replayed")
    with rigs(postgres, place) as create:
        rig, at_once = create(empty), create(whole, place=str(folder / "at_once"))
        for end in ends:
            with psycopg.connect(rig.source_url) as connection:
                script.advance(connection, end)
            rig.run()
        at_once.run()
        yield Replay(rig, at_once, ends, payments, place)
