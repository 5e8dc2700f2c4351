"""The rows of the cursor, which are the same in each poll while nothing changes: then latest need not be read."""

import hashlib
from collections.abc import Iterable
from itertools import chain

# More bytes of rows are not held in memory: they are compared with latest in every poll.
HELD_BYTES = 4 << 20
DIGEST_BITS = 256


def digested(blocks: Iterable[bytes]) -> tuple[Iterable[bytes], str | None]:
    """Give blocks of lines with a digest of the lines, whatever their order; None if there are too many bytes."""
    rest = iter(blocks)
    held: list[bytes] = []
    size_bytes = 0
    for block in rest:
        held.append(block)
        size_bytes += len(block)
        if size_bytes > HELD_BYTES:
            return chain(held, rest), None
    lines = b"".join(held).split(b"\n")
    # PostgreSQL may give the rows of a scan in another order each time.
    added = sum(int.from_bytes(hashlib.sha256(line).digest()) for line in lines if line)
    return held, f"{added % (1 << DIGEST_BITS):064x}"
