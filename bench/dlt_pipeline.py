"""Copy the source by dlt, in the way that its documentation calls the fastest; `peers.py` runs it in dlt's own venv.

ConnectorX reads, and Parquet goes into PostgreSQL by ADBC. The first run replaces the tables, each later one reads from
the cursor on and merges.
"""

import argparse

import dlt
from dlt.sources.sql_database import sql_database


def main() -> None:
    """Run the pipeline once."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("source", help="URL of the source")
    parser.add_argument("target", help="URL of the database to copy into")
    parser.add_argument("folder", help="where the pipeline keeps its state")
    parser.add_argument("tables", nargs="+")
    options = parser.parse_args()
    destination = dlt.destinations.postgres(options.target)
    pipeline = dlt.pipeline("peer", pipelines_dir=options.folder, destination=destination, dataset_name="peer")
    source = sql_database(
        options.source.replace("postgresql:", "postgresql+psycopg2:"),
        table_names=options.tables,
        backend="connectorx",
        backend_kwargs={"conn": options.source},
        reflection_level="full_with_precision",
    )
    disposition = "replace" if pipeline.first_run else {"disposition": "merge", "strategy": "upsert"}
    for table in options.tables:
        source.resources[table].apply_hints(
            incremental=dlt.sources.incremental("last_updated"), write_disposition=disposition
        )
    pipeline.run(source, loader_file_format="parquet").raise_on_failed_jobs()


if __name__ == "__main__":
    main()
