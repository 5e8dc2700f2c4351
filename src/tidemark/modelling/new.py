"""New: a first model from a source's catalogue."""

from dataclasses import dataclass
from pathlib import Path

from tidemark.errors import ConfigError
from tidemark.mirror import Scope
from tidemark.modelling.catalogue import Place, read_catalogue
from tidemark.modelling.files import files_of
from tidemark.modelling.star_draft import draft

DECIDE = "decide:"


@dataclass(frozen=True)
class Written:
    """What was written: files, star tables, what is left for a person to decide, and the tables that were left out."""

    directory: Path
    files: tuple[str, ...]
    facts: tuple[str, ...]
    dimensions: tuple[str, ...]
    decisions: int
    left_out: dict[Place, str]


def write_model(directory: Path, url: str, scope: Scope) -> Written:
    """Write a model for a source; no file that is there is written over.

    Raises:
        ConfigError: a file is there already, or the source has no table that could be read.
        TransientError: the source cannot be reached.
    """
    catalogue = read_catalogue(url, scope)
    if not catalogue.tables:
        reasons = [f"{'.'.join(place)}: {why}" for place, why in catalogue.left_out.items()]
        message = "the source has no table that could be read" + "".join(f"\n{reason}" for reason in reasons)
        raise ConfigError(message, advice="give the tables a primary key, or name other ones by --schema and --include")
    star = draft(catalogue)
    files = files_of(directory.absolute().name, catalogue, star)
    there = [name for name in files if (directory / name).exists()]
    if there:
        message = f"{directory} has {', '.join(there)} already"
        raise ConfigError(message, advice="name a directory that does not exist yet; nothing was written")
    for name, text in files.items():
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    return Written(
        directory,
        tuple(files),
        tuple(each.name for each in star if each.role.is_fact),
        tuple(each.name for each in star if not each.role.is_fact),
        sum(text.count(DECIDE) for text in files.values()),
        dict(catalogue.left_out),
    )
