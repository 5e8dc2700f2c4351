"""With several workers, some files of tests run on one of them, because what their tests share takes long to make.

xdist's own mark for this, `xdist_group`, has no effect under pytest 9.2 and xdist 3.8, and no message says so.
"""

import pytest
from xdist.scheduler import LoadScopeScheduling

# What each shares with the other tests of a name here: a deployment, a replay of the real rows and so on. Those that
# take longest come first, so that all workers end at about the same time. Files of one name run in the order of this
# list: test_infra.py begins an apply of Terraform's that test_aws.py needs two minutes later.
WHOLE_FILES = {
    "tests/aws/test_infra.py": "terraform",
    "tests/aws/test_packages.py": "terraform",
    "tests/integration/test_compact.py": "terraform",
    "tests/acceptance/test_aws.py": "terraform",
    "tests/acceptance/test_kill_anywhere.py": "runs to kill",
    "tests/acceptance/test_every_type.py": "every type",
    "tests/acceptance/test_verify.py": "replay",
    "tests/acceptance/test_replay.py": "replay",
    "tests/acceptance/test_on_spark_replay.py": "replay",
    "tests/acceptance/test_quarantine.py": "quarantine",
    "tests/acceptance/test_quarantine_commands.py": "quarantine",
    "tests/acceptance/test_quarantine_replay.py": "quarantine",
    "tests/acceptance/test_on_spark_quarantine.py": "quarantine",
    "tests/integration/test_rebuild.py": "libraries",
    "tests/integration/test_rebuildable.py": "libraries",
    "tests/acceptance/test_real_rows.py": "real rows",
    "tests/acceptance/test_clinic.py": "clinic",
    "tests/acceptance/test_order_17.py": "order 17",
    "tests/acceptance/test_kill_commands.py": "commands to kill",
    "tests/acceptance/test_verify_finds.py": "totesys after two batches",
    "tests/acceptance/test_demo.py": "demo",
    "tests/integration/test_cli.py": "totesys after one batch",
    "tests/integration/test_doctor.py": "totesys after one batch",
    "tests/integration/test_dashboard.py": "pages of a warehouse",
    "tests/acceptance/test_dashboard.py": "a browser",
    "tests/unit/test_site.py": "the site",
    "tests/integration/test_recipes.py": "recipes",
    "tests/acceptance/test_kill_mirror.py": "mirrors to kill",
    "tests/acceptance/test_histories_of_peers.py": "stories of peers",
    "tests/acceptance/test_installed.py": "a wheel",
    "tests/integration/test_embedded_server.py": "a server of its own",
    "tests/integration/test_requests.py": "batches with quarantine",
    "tests/integration/test_star_warehouse.py": "warehouses to compare",
    "tests/integration/test_quarantine_of_joins.py": "quarantine of joins",
}


class WholeFiles(LoadScopeScheduling):  # type: ignore[misc]  # xdist has no types
    """Hands out the tests of these files together, in the order of the names above, and then all others one by one."""

    def _split_scope(self, nodeid: str) -> str:
        return WHOLE_FILES.get(nodeid.partition("::")[0], nodeid)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> WholeFiles:
    """Schedule so whatever `--dist` says."""
    config.option.loadscopereorder = False  # by the number of tests, which says little
    return WholeFiles(config, log)


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Put the tests of these files first, in the order of the list; otherwise the order stays as it is."""
    if hasattr(config, "workerinput"):
        files = list(WHOLE_FILES)
        items.sort(key=lambda item: _place(files, item.nodeid.partition("::")[0]))


def _place(files: list[str], file: str) -> int:
    return files.index(file) if file in files else len(files)
