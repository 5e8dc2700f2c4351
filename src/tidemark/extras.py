"""What only some need is an extra: a library that is missing is an error that says how to install it.

The extras stand in `pyproject.toml`. What belongs to one imports its libraries within `needed_for`, when it starts.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from tidemark.errors import ConfigError


@contextmanager
def needed_for(extra: str) -> Iterator[None]:
    """Let the imports within say which extra they are of.

    Raises:
        ConfigError: a library is not installed. A module of our own that is missing is a mistake, and stays one.

    """
    try:
        yield
    except ModuleNotFoundError as exc:
        if exc.name is None or exc.name.partition(".")[0] == "tidemark":
            raise
        message = f"expected the library {exc.name!r}, which is part of the extra {extra!r} and is not installed"
        raise ConfigError(message, advice=f"pip install 'tidemark[{extra}]'", extra=extra, library=exc.name) from exc
