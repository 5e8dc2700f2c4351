"""A function's rebuild of what it writes: ingest makes latest again, transform the star, load the warehouse."""

from collections.abc import Callable

from tidemark.aws.function import Invocation
from tidemark.errors import DataError
from tidemark.lake.rebuilt import RebuildReport
from tidemark.report import Progress


def rebuilt_if_asked(invocation: Invocation, what: str, run: Callable[[Progress], RebuildReport]) -> dict[str, object]:
    """Make `what` again, if the event asks for that, and give what the function adds to its answer.

    Raises:
        DataError: the rebuild would undo what another model or an unfinished run made, and the event accepts no
            differences.
    """
    if invocation.request.rebuilds != what:
        return {}
    report = run(invocation.progress)
    for name, table in report.tables.items():
        facts = {"table": name, "missing": table.missing, "surplus": table.surplus}
        invocation.logger.info("rebuild %s: %s %s", what, name, table.note, extra=facts)
    if report.reasons and not report.is_in_place:
        message = f"{what} was made again and not put in place: {'; '.join(report.reasons)}"
        advice = f'if you want this, start it with {{"rebuild": "{what}", "accept_differences": true}}'
        if report.is_run_at_work:
            advice = f'start it with {{"rebuild": "{what}"}} again when the run has ended'
        raise DataError(message, advice=advice, batch=report.batch)
    return {"rebuilt": what, "differences": report.differences}
