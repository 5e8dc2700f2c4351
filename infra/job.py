"""What EMR Serverless starts: the command line out of the job's package, with the arguments that it is given.

Spark has unpacked the package beside it, under the name that `spark.archives` gives it (infra/emr.tf).
"""

import sys
from pathlib import Path

PACKAGE = "package"

if __name__ == "__main__":
    # In front of the libraries of the image, which are older; Spark itself is the image's.
    sys.path.insert(0, str(Path(PACKAGE).resolve()))
    from tidemark.cli import main

    main()
