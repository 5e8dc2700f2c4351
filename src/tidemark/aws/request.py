"""What an event asks of a function: the stage's own work, a range of time to read again, a rebuild, or a proof."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tidemark.errors import ConfigError
from tidemark.settings import parse_moment

SHAPE = (
    '{}, {"backfill": {"from": "2024-11-01", "to": "2024-11-08", "tables": ["sales_order"]}}, {"rebuild": "star"}'
    ' or {"verify": true}'
)
ASKED = {"backfill", "rebuild", "accept_differences", "verify"}
REBUILT = ("latest", "star", "warehouse")
# The console fills the input of a new execution with this.
IGNORED = {"Comment"}


@dataclass(frozen=True)
class Request:
    """What an event asks for; `ingested` is what this execution's poll returned, empty where there was no poll.

    `rebuilds` names what is to be made again, and `accepts` puts it in place whatever that undoes; see `Rebuild`. From
    `from_rows` rows on they are left to a task, which has more time than a function; None where there is no such task.
    """

    span: tuple[datetime, datetime] | None = None
    tables: tuple[str, ...] = ()
    verifies: bool = False
    rebuilds: str = ""
    accepts: bool = False
    execution: str = ""
    ingested: Mapping[str, object] = field(default_factory=dict)
    from_rows: int | None = None


def read_request(event: object) -> Request:
    """Read an event: the one that the state machine sends, with its own input as `input`, or that input alone.

    Raises:
        ConfigError: the event asks for something else; `problems` names everything that is wrong with it.
    """
    members: dict[str, Any] = event if isinstance(event, dict) else {"input": event}
    is_wrapped = "input" in members
    asked: Any = members["input"] if is_wrapped else members
    if not isinstance(asked, dict):
        raise ConfigError(f"input: expected an object, got {asked!r}", advice=f"expected {SHAPE}")
    problems = [f"unknown {name!r}" for name in sorted(asked.keys() - IGNORED - ASKED)]
    verifies, accepts = (_flag(asked, name, problems) for name in ("verify", "accept_differences"))
    span, tables = _backfill(asked["backfill"], problems) if "backfill" in asked else (None, ())
    rebuilds = asked.get("rebuild", "")
    if "rebuild" in asked and rebuilds not in REBUILT:
        problems.append(f"rebuild is {rebuilds!r}: expected one of {', '.join(REBUILT)}")
    if accepts and not rebuilds:
        problems.append("accept_differences without rebuild: expected both")
    if sum(map(bool, (verifies, span, rebuilds))) > 1:
        problems.append("backfill, rebuild and verify at once: start one after the other")
    if problems:
        raise ConfigError.of([f"input: {problem}" for problem in problems], advice=f"expected {SHAPE}")
    ingested = members.get("ingested") if is_wrapped else None
    execution = str(members.get("execution", "")) if is_wrapped else ""
    from_rows = members.get("from_rows") if is_wrapped else None
    return Request(
        span=span,
        tables=tables,
        verifies=verifies,
        rebuilds=str(rebuilds),
        accepts=accepts,
        execution=execution,
        ingested=ingested if isinstance(ingested, dict) else {},
        from_rows=from_rows if isinstance(from_rows, int) else None,
    )


def _flag(asked: Mapping[str, object], name: str, problems: list[str]) -> bool:
    found = asked.get(name, False)
    if not isinstance(found, bool):
        problems.append(f"{name} is {found!r}: expected true or false")
    return found is True


def _backfill(asked: object, problems: list[str]) -> tuple[tuple[datetime, datetime] | None, tuple[str, ...]]:
    if not isinstance(asked, dict):
        problems.append(f"backfill is {asked!r}: expected an object with from, to and perhaps tables")
        return None, ()
    problems += [f"unknown {name!r} in backfill" for name in sorted(asked.keys() - {"from", "to", "tables"})]
    moments = []
    for name in ("from", "to"):
        try:
            moments.append(parse_moment(str(asked.get(name, ""))))
        except ConfigError as exc:
            problems.append(f"backfill.{name}: {exc.message}")
    tables = asked.get("tables", [])
    if not isinstance(tables, list) or not all(isinstance(each, str) for each in tables):
        problems.append(f"backfill.tables is {tables!r}: expected a list of names")
        tables = []
    if len(moments) != len(("from", "to")):
        return None, ()
    return (moments[0], moments[1]), tuple(tables)
