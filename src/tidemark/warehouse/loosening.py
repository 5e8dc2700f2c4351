"""Loosening: columns of a mirror become text where a type of the warehouse cannot read what the source has.

A user's own type may get a value or a part in the source and not in the warehouse. Nothing may wait for that.
"""

import logging
from collections.abc import Callable
from typing import TypeVar

import psycopg
from psycopg import errors

from tidemark.mirror import Mirror
from tidemark.model import Model, StarTable
from tidemark.warehouse.mirrored_tables import loosened

logger = logging.getLogger(__name__)
Put = TypeVar("Put")


def put_read(connection: psycopg.Connection, model: Model, star: StarTable, put: Callable[[], Put]) -> Put:
    """Put a table's rows; if a mirror's warehouse cannot read them, once more after columns became text."""
    if not isinstance(model, Mirror):
        return put()
    try:
        with connection.transaction():
            return put()
    except (errors.DataError, errors.CheckViolation):
        names = loosened(connection, model, star)
        if not names:
            raise
        lacking = "%s: a type of the warehouse lacks what the source's has, so these columns are text from now on: %s"
        logger.warning(lacking, star.name, ", ".join(names))
    return put()
