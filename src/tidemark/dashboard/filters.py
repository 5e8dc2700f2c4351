"""What a person has chosen: dates, a moment and values, read from a URL's query and given to SELECTs as parameters."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from urllib.parse import urlencode

from tidemark.dashboard.figures import Figure

# PostgreSQL's own words for a day before and one after all others.
EARLIEST, LATEST = "-infinity", "infinity"
LONGEST_VALUE = 200


@dataclass(frozen=True)
class Chosen:
    """The filters that are set; `problems` says in words what could not be read and was left out."""

    first: date | None = None
    last: date | None = None
    moment: datetime | None = None
    values: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()

    def parameters(self, figure: Figure) -> dict[str, str | None]:
        """Give the parameters of a figure's SELECT, each as the text that PostgreSQL reads; None: nothing is chosen."""
        every = {
            "first": self.first.isoformat() if self.first else EARLIEST,
            "last": self.last.isoformat() if self.last else LATEST,
            "moment": self.moment.isoformat(sep=" ") if self.moment else LATEST,
        }
        return {name: every.get(name, self.values.get(name)) for name in figure.parameters}

    @property
    def words(self) -> str:
        """Say in words which rows are chosen."""
        days = [f"from {self.first}"] if self.first else []
        days += [f"to {self.last}"] if self.last else []
        moment = [f"as of {self.moment}"] if self.moment else []
        return ", ".join(filter(None, (" ".join(days), *moment, *self.values.values()))) or "all rows"

    def query(self, names: Iterable[str]) -> str:
        """Write what is chosen of some filters as the query of a URL; empty where nothing is."""
        set_values: dict[str, object] = dict(self.values)
        if self.first:
            set_values["first"] = self.first
        if self.last:
            set_values["last"] = self.last
        if self.moment:
            set_values["moment"] = self.moment.isoformat()
        wanted = [each for name in names for each in (("first", "last") if name == "dates" else (name,))]
        return urlencode([(name, str(set_values[name])) for name in dict.fromkeys(wanted) if name in set_values])


def read_chosen(query: Mapping[str, str], known: Iterable[str]) -> Chosen:
    """Read a URL's query; `known` are the filters of the model. What cannot be read is left out and named."""
    problems: list[str] = []
    first, last = (_day(query.get(name, ""), problems) for name in ("first", "last"))
    if first and last and first > last:
        problems.append(f"the first day {first} is after the last day {last}, so no row can match")
    values = {name: query[name] for name in known if query.get(name)}
    for name, value in list(values.items()):
        if len(value) > LONGEST_VALUE or "\x00" in value:
            problems.append(f"the value of {name} is none that a text of the warehouse can have; it is left out")
            del values[name]
    return Chosen(first, last, _moment(query.get("moment", ""), problems), values, tuple(problems))


def _day(text: str, problems: list[str]) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError:
        problems.append(f"expected a day such as 2024-11-30, got {text[:LONGEST_VALUE]!r}; it is left out")
        return None


def _moment(text: str, problems: list[str]) -> datetime | None:
    if not text:
        return None
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        problems.append(f"expected a moment such as 2024-11-30T12:00, got {text[:LONGEST_VALUE]!r}; it is left out")
        return None
    if found.tzinfo is not None:
        problems.append("a moment is in UTC and has no zone of its own; the zone is left out")
    return found.replace(tzinfo=None)
