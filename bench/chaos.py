"""Kill runs at random moments and start runs in pairs, for a long time, on a busy source; print the results.

    python bench/chaos.py [--kills 100] [--pairs 200] [--seed N]

It ends with 1 if anything was lost, doubled or different. PostgreSQL and the lake lie in a temporary directory.
"""

import argparse
import random
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from tests.support.chaos import kill_at_random, new_pipeline, run_in_pairs
from tests.support.postgres import running_postgres


def main() -> int:
    """Run all trials and return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--pairs", type=int, default=200)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().getrandbits(32))
    given = parser.parse_args()
    print(f"seed {given.seed}")
    chance = random.Random(given.seed)  # noqa: S311 -- no secret
    trials = {
        "killed at random moments": partial(kill_at_random, kills=given.kills, chance=chance),
        "two runs at once": partial(run_in_pairs, pairs=given.pairs, chance=chance, stages_apart=False),
        "two of each stage at once": partial(run_in_pairs, pairs=given.pairs, chance=chance, stages_apart=True),
    }
    well = True
    with running_postgres() as postgres, tempfile.TemporaryDirectory(prefix="tidemark-chaos-") as folder:
        for name, trial in trials.items():
            began = time.monotonic()
            outcome = trial(new_pipeline(postgres, Path(folder) / name.replace(" ", "_")))
            print(f"{name}, {time.monotonic() - began:.0f} s: {outcome}", flush=True)
            well = well and not outcome.differences
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main())
