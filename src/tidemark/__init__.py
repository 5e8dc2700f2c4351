"""Tidemark moves a PostgreSQL database into a data warehouse and keeps the full history of its facts.

Nothing is imported here, so that `import tidemark` costs nothing and the pure modules stay pure. `run` comes when it is
first asked for.
"""

TYPE_CHECKING = False  # as `typing` has it, which this module does without
if TYPE_CHECKING:
    from tidemark.whole_run import RunResult, run

__version__ = "0.1.0"
__all__ = ["RunResult", "__version__", "run"]


def __getattr__(name: str) -> object:
    if name not in {"RunResult", "run"}:
        error = f"module {__name__!r} has no attribute {name!r}"
        raise AttributeError(error)
    from tidemark import whole_run  # noqa: PLC0415 -- see above

    return getattr(whole_run, name)
