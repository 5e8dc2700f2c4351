"""With several workers, some files of tests run on one of them, because what their tests share takes long to make.

xdist's own way to say so, `xdist_group`, is without effect under pytest 9.2 and xdist 3.8, and nothing tells.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

WHOLE_FILES = frozenset(
    {
        "tests/acceptance/test_aws.py",
        "tests/aws/test_infra.py",
        "tests/aws/test_packages.py",
    }
)


class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out the tests of these files together, those with the most tests first, and then all others one by one."""

    def _split_scope(self, nodeid: str) -> str:
        file = nodeid.partition("::")[0]
        return file if file in WHOLE_FILES else nodeid


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> WholeFiles:
    """Schedule so whatever `--dist` says."""
    return WholeFiles(config, log)
