"""The columns of the source as the log has them, for a model whose tables follow from them."""

from tidemark.log.changelog import ChangeLog
from tidemark.model import Model
from tidemark.tables.statements import completed, lacking


def completed_by_log(model: Model, log: ChangeLog) -> Model:
    """Give a model the columns that it lacks, as the newest batch has them; the same model if there is no batch."""
    newest = log.newest() if lacking(model) else None
    return completed(model, {name: entry.columns for name, entry in newest.tables.items()}) if newest else model
