"""A PostgreSQL server on this machine, and the demo with its generated rows: nothing to install, nothing left behind.

In: a directory.
Out: a server's address; a totesys that is filled and at work; what a demo has done.
Must not know: aws, cli.
"""

from tidemark.embedded.server import EmbeddedServer

__all__ = ["EmbeddedServer"]
