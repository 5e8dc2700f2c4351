"""A directory in which commands run in the process of the tests, on a small library and its warehouse."""

from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.support.library import LIBRARY
from tests.support.pipeline import ask
from tidemark.cli import run
from tidemark.objects import open_objects
from tidemark.pipeline import Pipeline, wire
from tidemark.runs.run import Run
from tidemark.settings import load

# Nobody listens there.
NOBODY = "postgresql://postgres@127.0.0.1:9/nobody"


class Office:
    """Where commands run, with their settings in the environment."""

    def __init__(self, folder: Path, source: str, warehouse: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.source, self.warehouse, self.set = folder, source, warehouse, monkeypatch.setenv
        monkeypatch.chdir(folder)
        self.set("TIDEMARK_SOURCE_URL", source)
        self.set("TIDEMARK_WAREHOUSE_URL", warehouse)
        self.set("TIDEMARK_MODEL", str(LIBRARY))

    def run(self, *arguments: str) -> int:
        """Run a command, and return its exit code."""
        return run(arguments)

    @property
    def pipeline(self) -> Pipeline:
        """The pipeline of the settings as they are now."""
        return wire(load({}, directory=self.folder))

    def newest(self) -> list[Run]:
        """Read the record of runs, newest first."""
        return self.pipeline.records.newest()

    def beside(self) -> list[str]:
        """Name what lies beside the pointer."""
        return [each.key for each in open_objects(f"{self.pipeline.settings.pointer}.runs").list()]

    def ask(self, statement: str) -> list[tuple[Any, ...]]:
        """Ask the warehouse, whatever the settings say now."""
        return ask(self.warehouse, statement)

    def change(self, statement: str) -> None:
        """Change the warehouse."""
        with psycopg.connect(self.warehouse, autocommit=True) as connection:
            connection.execute(statement.encode())
