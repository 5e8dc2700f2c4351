"""A program that has a Spark of its own and runs Tidemark, as a job of spark-submit does.

It transforms a log by the program's Spark, and prints in JSON what became of its session and which errors it met.
"""

import json
import os
import sys
from pathlib import Path

from py4j.java_gateway import JavaGateway
from pyspark.sql import SparkSession

from tests.support.pipeline import clock
from tidemark.errors import ConfigError, TidemarkError
from tidemark.lake.engine import open_engine
from tidemark.lake.spark import OF_PROGRAM, Spark, open_spark
from tidemark.lake.spark_scratch import Place, buckets_of
from tidemark.lake.sqltext import Select
from tidemark.model_reader import load_model
from tidemark.objects import open_objects
from tidemark.transform import Transform

SELECTS = {"unknown": "select nope from loan", "row": "select cast(words as date) as v from loan"}


def own_session() -> SparkSession:
    """Make the program's session, with a view and a setting that a run must not change."""
    session = SparkSession.builder.getOrCreate()
    session.conf.set("spark.sql.session.timeZone", "Asia/Tokyo")
    session.sql("select 17 as own").createOrReplaceTempView("loan")
    return session


def error_of(spark: Spark, select: str, file: Path) -> str:
    """Give the error that a SELECT meets."""
    try:
        spark.made(select, {"loan": file}, file.parent, "fact_loan")
    except TidemarkError as exc:
        return f"{type(exc).__name__}: {exc.message}"
    return ""


def error_at(place: Place, file: Path) -> str:
    """Give the error that Spark meets where it is to read and write files."""
    try:
        with open_spark(OF_PROGRAM) as spark:
            spark.probed(place, file, file.parent)
    except ConfigError as exc:
        return exc.message
    return ""


def main() -> None:
    """Transform twice, and meet errors in between; in the end the program's Java is killed."""
    model, ingestion, bucket, *stars = sys.argv[1:]
    parts = (load_model(model), open_objects(ingestion))
    # The program has no Spark yet: the run's own is gone with it.
    Transform(*parts, open_objects(stars[0]), clock, runs_on=OF_PROGRAM).run()
    answer: dict[str, object] = {"left": SparkSession.getActiveSession() is not None}
    session = own_session()
    Transform(*parts, open_objects(stars[1]), clock, runs_on=OF_PROGRAM).run()
    with open_engine([]) as engine:
        file = engine.new_file(".parquet")
        engine.write_parquet(Select("select 'secret words' as words"), file)
        with open_spark(OF_PROGRAM) as spark:
            answer |= {name: error_of(spark, select, file) for name, select in SELECTS.items()}
        answer["zone"] = session.conf.get("spark.sql.session.timeZone")
        answer["bucket"] = [error_at(place, file) for place in buckets_of(open_objects(bucket))]
        answer["own"] = session.sql("select own from loan").collect()[0][0]
        with open_spark(OF_PROGRAM) as spark:
            session.stop()
            answer["stopped"] = error_of(spark, "select words from loan", file)
        gateway = own_session().sparkContext._gateway
        assert isinstance(gateway, JavaGateway)
        with open_spark(OF_PROGRAM) as spark:
            gateway.proc.kill()
            gateway.proc.wait()
            answer["killed"] = error_of(spark, "select words from loan", file)
    sys.stdout.write(json.dumps(answer) + "\n")
    sys.stdout.flush()
    # What PySpark does at the end of a program needs its Java.
    os._exit(0)


if __name__ == "__main__":
    main()
