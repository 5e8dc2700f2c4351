"""The memory limit: how much memory the engines of this process use before they spill to disk.

It is a module of its own, like the armed fault: the wiring sets the limit for every part that opens an engine, without
loading an engine itself.
"""

DEFAULT = "256MB"


class _Limit:
    text = DEFAULT


def limit_memory(text: str) -> None:
    """Set the limit, such as `1GB`, for all engines that are opened from now on."""
    _Limit.text = text


def memory_limit() -> str:
    """Give the limit as DuckDB takes it, such as `256MB`."""
    return _Limit.text
