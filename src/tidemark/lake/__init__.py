"""The lake: Delta tables whose files DuckDB writes and delta-rs commits, and the engine that reads them.

In: rows that a SELECT of DuckDB yields.
Out: FROM items over tables at any version, and commits that either happen whole or not at all.
Must not know: capture, log, star, warehouse, postgres.
"""
