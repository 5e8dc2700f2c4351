"""What a command imports, and which libraries are too slow to import for nothing."""

import json
import os
import subprocess
import sys
from pathlib import Path

# A twentieth of a second and more each: databases, the lake, AWS, and what only a terminal or a number needs.
HEAVY = {"boto3", "botocore", "deltalake", "duckdb", "fsspec", "psycopg", "pydantic", "rich.progress"}

_SCRIPT = """
import json, sys
from tidemark.cli import run
code = run(sys.argv[1:])
print(json.dumps(sorted(sys.modules)), file=sys.stderr)
sys.exit(code)
"""


def imports_of(*arguments: str, folder: Path | None = None, **settings: str) -> set[str]:
    """Run a command in a process of its own and return the modules that it imported."""
    done = subprocess.run(  # noqa: S603 -- our own interpreter
        [sys.executable, "-c", _SCRIPT, *arguments],
        env={**os.environ, **settings},  # noqa: TID251 -- for the child, as a shell would
        cwd=folder,
        check=True,
        capture_output=True,
        text=True,
    )
    return set(json.loads(done.stderr.splitlines()[-1]))
