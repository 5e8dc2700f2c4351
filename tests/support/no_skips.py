"""Under CI a skipped test is a failed run: a promise that was not checked is not kept."""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from _pytest.terminal import TerminalReporter


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run of CI that would have passed with skipped tests."""
    # Under xdist the workers have no terminal reporter, and the controller's has the skips of them all.
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter and _skipped(reporter) and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: "TerminalReporter") -> None:
    """Name the skipped tests that failed the run."""
    skipped = sorted(_skipped(terminalreporter))
    if skipped:
        terminalreporter.section("skipped, which is a failure under CI", red=True, bold=True)
        for name in skipped:
            terminalreporter.line(name, red=True)


def _skipped(reporter: "TerminalReporter") -> Iterable[str]:
    if not os.environ.get("CI"):  # noqa: TID251 -- pytest's own setting, not one of tidemark
        return ()
    return {report.nodeid for report in reporter.stats.get("skipped", ()) if hasattr(report, "nodeid")}
