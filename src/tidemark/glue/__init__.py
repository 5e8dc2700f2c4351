"""Glue: the tables of the lake by name in the AWS Glue Data Catalog, for Athena and whoever else looks there.

In: a model, the two buckets of its lake, and a client of Glue.
Out: a table for each Delta table, and two views for each table of versions; tables of other hands stay as they are.
Must not know: cli, aws, capture, warehouse, verification, postgres.
"""

from tidemark.glue.registration import Registration, RegistrationReport

__all__ = ["Registration", "RegistrationReport"]
