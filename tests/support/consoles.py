"""The commands on the pages that teach: a test types them one after the other, as a reader does in one terminal.

A block begins with ```` ```console ````, and each line of it with `$ `.
"""

import re
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
BLOCK = re.compile(r"```console\n(.*?)```", re.DOTALL)
ADDRESS = re.compile(r"export \w+=postgresql://\S+")


def consoles(page: str) -> list[list[str]]:
    """Return the blocks of commands on a page of docs."""
    text = (DOCS / page).read_text("utf-8")
    return [re.findall(r"^\$ (.+)$", block, re.MULTILINE) for block in BLOCK.findall(text)]


class Terminal:
    """A shell that keeps its folder and its exports from one command to the next.

    `addresses` take the places of those that the page exports, in their order. `instead` has other commands for those
    that a test cannot run as they are.
    """

    def __init__(
        self,
        folder: Path,
        variables: Mapping[str, str],
        addresses: tuple[str, ...] = (),
        instead: Mapping[str, str] | None = None,
    ) -> None:
        self._state = folder / ".terminal"
        self._addresses = iter(addresses)
        self._instead = instead or {}
        self._state.write_text(
            f"cd '{folder}'\n" + "".join(f"export {n}='{v}'\n" for n, v in variables.items()), "utf-8"
        )

    def type(self, command: str, code: int = 0) -> str:
        """Run a command, which has to end with `code`, and return what it printed."""
        typed = self._instead.get(command, command)
        if ADDRESS.fullmatch(typed):
            typed = f"{typed.partition('=')[0]}='{next(self._addresses)}'"
        # The folder and the exports go into a file, whatever the command was.
        script = (
            f". {self._state}\n{typed}\ncode=$?\n{{ export -p; echo \"cd '$PWD'\"; }} > {self._state}\nexit $code\n"
        )
        done = subprocess.run(  # noqa: S603 -- the page's own command
            ["/bin/sh", "-c", script], capture_output=True, text=True, check=False
        )
        assert done.returncode == code, f"{command}\n{done.stdout}\n{done.stderr}"
        return done.stdout

    def read(self, page: str, between: Mapping[int, Callable[[], object]] | None = None) -> dict[str, str]:
        """Type all commands of a page and return what each printed; `between` acts before the block of its number."""
        said: dict[str, str] = {}
        for number, commands in enumerate(consoles(page)):
            if between and number in between:
                between[number]()
            for command in commands:
                said[command] = said.get(command, "") + self.type(command)
        return said
