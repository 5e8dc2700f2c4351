"""With several workers, some files of tests run on one of them, because what their tests share takes long to make.

xdist's own way to say so, `xdist_group`, is without effect under pytest 9.2 and xdist 3.8, and nothing tells.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

# What each shares with the other tests of a name here: a deployment, a replay of the real rows and so on.
WHOLE_FILES = {
    "tests/acceptance/test_aws.py": "deployment",
    "tests/acceptance/test_kill_anywhere.py": "runs to kill",
    "tests/acceptance/test_order_17.py": "order 17",
    "tests/acceptance/test_quarantine.py": "quarantine",
    "tests/acceptance/test_real_rows.py": "real rows",
    "tests/acceptance/test_replay.py": "replay",
    "tests/acceptance/test_verify.py": "replay",
    "tests/aws/test_infra.py": "mocked apply",
    "tests/aws/test_packages.py": "packages",
    "tests/integration/test_compact.py": "batches to compact",
    "tests/integration/test_rebuild.py": "batches to rebuild",
    "tests/integration/test_rebuildable.py": "a log to rebuild from",
}


class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out the tests of these files together, those with the most tests first, and then all others one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return WHOLE_FILES.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> WholeFiles:
    """Schedule so whatever `--dist` says."""
    return WholeFiles(config, log)
