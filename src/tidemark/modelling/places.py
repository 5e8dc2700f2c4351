"""Where in a model's files a mistake is that another room describes.

The rooms say what is wrong in sentences that begin with what they speak of: `[source.loan] …`, `fact/loan.sql …`,
`fact_loan.fee …`. That is looked up here, and in the file the names that the sentence quotes.
"""

import re
from collections.abc import Iterator, Mapping

from tidemark.model import Model
from tidemark.modelling.problem import Problem, likely
from tidemark.modelling.toml_lines import line_of, lines_of

TOML, WAREHOUSE = "model.toml", "warehouse.sql"
UNKNOWN = re.compile(r"has an unknown (['\"])(?P<name>.*?)\1: expected \[(?P<known>.*)\]", re.DOTALL)
QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
# `fact/loan.sql yields fee, which …`, `… does not yield fee, which …`, `… for fee`, `fact_loan has no column fee`.
NAMED = re.compile(r"\b(?:yields?|for|no column|a column|calls) ([^\s,:()]+)")
COMMENT = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)


class Places:
    """The files of a model's directory, as they are searched for what a sentence names."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self._texts: dict[str, str] = {}
        # The columns of source tables that are known so far; a SELECT probably means one of them.
        self.columns: set[str] = set()
        # The columns that the source has now, by its tables, each with its type as source.toml has it.
        self.in_source: dict[str, dict[str, str]] = {}
        self._toml = lines_of(self.text(TOML))

    def text(self, file: str) -> str:
        """Give the text of a file of the model; empty if there is none."""
        if file not in self._texts:
            path = self._model.directory / file
            self._texts[file] = path.read_text("utf-8") if path.is_file() else ""
        return self._texts[file]

    def in_toml(self, *path: str) -> int:
        """Give the line of a section or a key of model.toml."""
        return line_of(self._toml, path)

    def keys_of_toml(self) -> Iterator[tuple[str, ...]]:
        """Give the path of each key at the top of model.toml."""
        return (path for path in self._toml if len(path) == 1)

    def in_file(self, file: str, *names: str) -> int:
        """Give the line of the first of the names that a file has outside of its comments; 1 if it has none."""
        text = COMMENT.sub(lambda found: re.sub(r"[^\n]", " ", found[0]), self.text(file))
        for name in names:
            found = re.search(rf"(?<!\w){re.escape(name)}(?!\w)", text, re.IGNORECASE)
            if found:
                return text.count("\n", 0, found.start()) + 1
        return 1

    def at_byte(self, file: str, stripped: str, offset: int) -> int:
        """Give the line of a place in a SELECT, which the model holds without the blanks around it."""
        text = self.text(file)
        before = text[: max(text.find(stripped), 0)].encode() + stripped.encode()[:offset]
        return before.count(b"\n") + 1

    def in_table(self, table: str, column: str = "") -> int:
        """Give the line of a table in warehouse.sql, or of one of its columns."""
        start = self.in_file(WAREHOUSE, f"create table {table}", f'create table "{table}"')
        lines = self.text(WAREHOUSE).splitlines()
        for number, line in enumerate(lines[start - 1 :], start=start):
            if column and re.match(rf'\s*"?{re.escape(column)}"?\s', line, re.IGNORECASE):
                return number
            if line.lstrip().startswith(")"):
                break
        return start

    def problem(self, sentence: str, advice: str = "") -> Problem:
        """Find the place of a mistake that another room describes."""
        found = self._of_toml(sentence, advice) or self._of_file(sentence, advice) or self._of_table(sentence, advice)
        return found or Problem(TOML, 1, sentence, advice or "mend it there")

    def _of_toml(self, sentence: str, advice: str) -> Problem | None:
        for path in sorted(self._toml, key=len, reverse=True):
            head = f"[{path[0]}.{path[1]}]" if len(path) > 1 else ""
            if not head or not sentence.startswith(head):
                continue
            rest = sentence.removeprefix(head).strip()
            if unknown := UNKNOWN.match(rest):
                known = [quoted[0] or quoted[1] for quoted in QUOTED.findall(unknown["known"])]
                meant = likely(unknown["name"], known)
                told = f"write {meant}" if meant else f"take it out; there are {', '.join(known)}"
                return Problem(TOML, self.in_toml(*path[:2], unknown["name"]), sentence, told)
            key = next((each for each in self._keys_within(path[:2]) if rest.startswith(f"{each[-1]} ")), path[:2])
            return Problem(TOML, self.in_toml(*key), sentence, advice or self._advice(rest))
        if sentence.startswith("timezone "):
            told = "write a name of the IANA database, such as UTC or Europe/London"
            return Problem(TOML, self.in_toml("timezone"), sentence, told)
        if sentence.startswith("more than one calendar"):
            second = [star.name for star in self._model.dimensions if star.kind == "calendar"][-1]
            return Problem(TOML, self.in_toml("star", second), sentence, "keep one, and refer to it")
        return None

    def _keys_within(self, section: tuple[str, ...]) -> list[tuple[str, ...]]:
        inner = [path for path in self._toml if path[:2] == section and len(path) > len(section)]
        return sorted(inner, key=lambda path: len(path[-1]), reverse=True)

    def _advice(self, rest: str) -> str:
        """Say how to mend what a sentence about a section says."""
        known: Mapping[str, list[str]] = {
            "references ": [each.name for each in self._model.dimensions],
            "reads ": list(self._model.sources),
            "kind is ": ["fact", "dimension", "calendar"],
            "driving is ": list(self._model.sources),
        }
        for word, names in known.items():
            quoted = QUOTED.search(rest.partition(word)[2]) if word in rest else None
            meant = likely(quoted[1] or quoted[2], names) if quoted else ""
            if meant:
                return f"write {meant}"
        if missing := re.match(r"has no (\S+\.sql)", rest):
            return f"write {missing[1]}: one SELECT that ends in the table's columns"
        return "mend that line"

    def _of_file(self, sentence: str, advice: str) -> Problem | None:
        found = re.match(
            r"(?:the seed \S*?)?((?:fact|dimension|seed|checks)/[^\s:]+\.(?:sql|csv)|warehouse\.sql)", sentence
        )
        if not found:
            return None
        file = found[1]
        rest = sentence[found.end() :]
        names = [each[0] or each[1] for each in QUOTED.findall(rest)] + NAMED.findall(rest)
        if file == WAREHOUSE:
            return Problem(file, self.in_file(file, *names), sentence, advice or "mend it there")
        meant = likely(names[0], self.columns) if names and "eferenced column" in rest else ""
        told = f"write {meant}" if meant else "mend the SELECT"
        return Problem(file, self.in_file(file, *names), sentence, advice or told)

    def _of_table(self, sentence: str, advice: str) -> Problem | None:
        for star in sorted(self._model.stars.values(), key=lambda each: len(each.name), reverse=True):
            if found := re.match(rf"{re.escape(star.name)}(?:\.([^\s:]+))?[ :]", sentence):
                named = found[1] or next(iter(NAMED.findall(sentence)), "")
                return Problem(WAREHOUSE, self.in_table(star.name, named), sentence, advice or "mend warehouse.sql")
        for name, table in sorted(self._model.sources.items(), key=lambda each: len(each[0]), reverse=True):
            if sentence.startswith((f"source table {name!r}", f"{name}.")):
                named = {"created": table.created, "updated": table.updated}
                key = next((key for key, column in named.items() if sentence.startswith(f"{name}.{column} ")), "")
                line = self.in_toml("source", name, key)
                return Problem(TOML, line, sentence, advice or "mend the model, or the source")
        return None
