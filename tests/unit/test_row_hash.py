"""The hash of a row: its number goes up with every change of what goes into it."""

import hashlib

from psycopg import sql

from tidemark.capture.poll import WAY_OF_HASHING
from tidemark.postgres.row_hash import HASHED_AS_SENT, HASHED_AS_THEY_ARE, TEXTS, hash_of


def test_another_way_of_hashing_has_another_number() -> None:
    types = sorted(HASHED_AS_THEY_ARE | HASHED_AS_SENT.keys() | TEXTS | {"interval"})
    statement = hash_of({kind: kind for kind in types}, types[:1], sql.SQL("")).as_string()

    digest = hashlib.sha256(statement.encode()).hexdigest()[:16]

    # If the statement has changed, hashes of before cannot be compared: raise the number, and put the new digest here.
    assert (WAY_OF_HASHING, digest) == (2, "43a302edd8c5ea97")
