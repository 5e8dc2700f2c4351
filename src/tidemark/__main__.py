"""`python -m tidemark` is the command `tidemark`."""

from tidemark.cli import main

main()
