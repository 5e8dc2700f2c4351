"""A PostgreSQL server on this machine, for the demo and the tests: nothing to install, nothing left behind."""

from tidemark.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
