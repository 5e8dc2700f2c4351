"""Files for the tests of seams."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def new_file(tmp_path: Path) -> Callable[[bytes], Path]:
    """Make a local file with the given bytes."""

    def create(body: bytes) -> Path:
        path = tmp_path / f"file-{len(list(tmp_path.iterdir()))}"
        path.write_bytes(body)
        return path

    return create
