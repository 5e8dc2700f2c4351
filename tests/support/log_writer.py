"""A writer of logs without a source: it writes batches as polls would."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from tidemark.log.changelog import ChangeLog, LogObject, Manifest, TableEntry, object_key
from tidemark.log.columns import Column
from tidemark.model import Model
from tidemark.objects import Objects

START = datetime(2024, 11, 1, tzinfo=UTC)
MINUTES_BETWEEN = 10
Row = dict[str, object]
# For each table the rows that a batch brings, by key; None is a row that it deletes.
Changes = Mapping[str, Mapping[object, Row | None]]


class LogWriter:
    """Writes batch after batch into an empty log; the source tables have these columns, and keys of one column."""

    def __init__(self, ingestion: Objects, model: Model, columns: Mapping[str, Sequence[Column]]) -> None:
        self.rows: dict[str, dict[object, Row]] = {name: {} for name in columns}
        self._ingestion, self._columns = ingestion, columns
        self._keys = {name: model.sources[name].key[0] for name in columns}
        self._entries: dict[str, TableEntry] = {}
        self._batch = 0

    @property
    def next_moment(self) -> datetime:
        """Give the moment of the next batch's snapshot."""
        return START + timedelta(minutes=MINUTES_BETWEEN * (self._batch + 1))

    def write(self, changes: Changes) -> None:
        """Write the next batch."""
        now = self.next_moment
        self._batch += 1
        for table in self._columns:
            self._entries[table] = self._entry(table, changes.get(table, {}), now)
        manifest = Manifest(
            batch=self._batch,
            run_id=f"run {self._batch}",
            pipeline_id="pipeline",
            source={},
            snapshot="",
            captured_at=now,
            watermark=None,
            tables=dict(self._entries),
        )
        ChangeLog(self._ingestion).commit(manifest)

    def _entry(self, table: str, changed: Mapping[object, Row | None], now: datetime) -> TableEntry:
        rows, counts = self.rows[table], {"insert": 0, "update": 0, "delete": 0}
        lines: list[Row] = []
        for key, values in changed.items():
            before = rows.pop(key, None)
            operation = "delete" if values is None else "update" if before else "insert"
            counts[operation] += 1
            row = (before or {}) if values is None else {self._keys[table]: key, **values}
            if values is not None:
                rows[row[self._keys[table]]] = row
            change = {"_op": operation, "_before": before} if operation == "update" else {"_op": operation}
            lines.append({**row, **(change if self._batch > 1 else {})})
        known = self._entries.get(table)
        objects: tuple[LogObject, ...] = ()
        if lines:
            body = b"".join(json.dumps(line).encode() + b"\n" for line in lines)
            name = object_key(self._batch, table, "last", now)
            self._ingestion.put_new(name, body)
            objects = (LogObject(name, len(lines), len(body), hashlib.sha256(body).hexdigest()),)
        return TableEntry(
            tuple(self._columns[table]),
            known.first_ordinal + known.changes if known else 1,
            len(rows),
            "0",
            objects,
            inserted=counts["insert"],
            updated=counts["update"],
            deleted=counts["delete"],
            changed_in=self._batch if lines or known is None else known.changed_in,
        )
