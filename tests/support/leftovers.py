"""What a command that was killed leaves in the temporary directory."""

from pathlib import Path

from tidemark.lake.scratch import MARK


def left_behind(place: Path, *, name: str = "tidemark-rebuild-left", mode: int = 0o700, size_bytes: int = 4) -> Path:
    """Make a folder as a killed command leaves it: marked, and locked by nobody."""
    folder = place / name
    folder.mkdir(parents=True)
    folder.chmod(mode)
    (folder / MARK).touch()
    (folder / "part").write_bytes(bytes(size_bytes))
    return folder
