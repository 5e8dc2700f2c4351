"""Logs, one plain line each, on stderr."""

import logging
import time

from tidemark.cli.output import err, masked
from tidemark.disclosure import in_one_block

FORMAT = "%(asctime)s %(levelname)s %(message)s"


class _ConsoleHandler(logging.Handler):
    # The line goes through the console that shows the progress. Otherwise the progress would overwrite it.
    def emit(self, record: logging.LogRecord) -> None:
        err().print(in_one_block(masked(self.format(record))), markup=False, highlight=False, soft_wrap=True)


def configure_logging(*, verbose: bool, quiet: bool = False) -> None:
    """Send warnings and errors to stderr, with `verbose` what Tidemark does as well, and with `quiet` only errors."""
    formatter = logging.Formatter(FORMAT, datefmt="%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler = _ConsoleHandler()
    handler.setFormatter(formatter)
    root = logging.getLogger()
    for before in [each for each in root.handlers if isinstance(each, _ConsoleHandler)]:
        root.removeHandler(before)
    root.addHandler(handler)
    handler.setLevel(logging.ERROR if quiet else logging.NOTSET)
    logging.getLogger("tidemark").setLevel(logging.INFO if verbose else logging.WARNING)
