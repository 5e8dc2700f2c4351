"""Sail as a process of its own: `python -m tidemark.lake.sail` prints the port on which it listens.

It ends with its standard input, and so with the process that started it, whatever ended that.
"""

import os
import sys

from tidemark.extras import needed_for


def main() -> None:
    """Serve Spark Connect on this machine alone until the standard input ends."""
    with needed_for("spark"):
        from pysail.spark import SparkConnectServer  # noqa: PLC0415 -- an extra

    server = SparkConnectServer("127.0.0.1", 0)
    server.start(background=True)
    address = server.listening_address
    sys.stdout.write(f"{address[1] if address else 0}\n")
    sys.stdout.flush()
    sys.stdin.read()
    # Sail's own way to stop waits for each query at work, and a join may be at work for hours. It has nothing to save.
    os._exit(0)


if __name__ == "__main__":
    main()
