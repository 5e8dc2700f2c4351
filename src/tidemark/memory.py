"""How much memory the engines of this process take before they spill.

A module of its own, like the armed fault: the wiring sets it for every part that opens an engine, without loading one.
"""

DEFAULT = "256MB"


class _Limit:
    text = DEFAULT


def limit_memory(text: str) -> None:
    """Set the limit, such as `1GB`, for all engines that are opened from now on."""
    _Limit.text = text


def memory_limit() -> str:
    """Give the limit."""
    return _Limit.text
