"""Run by the Python of a venv that has Spark: each line of standard input is a job in JSON, each answer is a line.

A job has `statements` that make views, a `select` and the `target` of its rows. The answer is empty, or the error.
"""

import json
import sys

from pyspark.sql import SparkSession


def main() -> None:
    """Do one job after the other until the input ends."""
    conf = json.loads(sys.stdin.readline())
    builder = SparkSession.builder.master("local[2]").config("spark.ui.enabled", "false")
    for name, value in conf.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    for line in sys.stdin:
        job = json.loads(line)
        answer = ""
        try:
            for statement in job["statements"]:
                session.sql(statement).collect()
            session.sql(job["select"]).write.mode("overwrite").parquet(job["target"])
        except Exception as exc:  # noqa: BLE001 -- the test reads it
            answer = str(exc) or type(exc).__name__
        print(json.dumps(answer), flush=True)  # noqa: T201 -- this is its answer


if __name__ == "__main__":
    main()
