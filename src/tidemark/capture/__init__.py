"""Capture: one poll, from the source to a batch of the change log.

In: a connection to the source, the model's source tables, the newest manifest, latest.
Out: for each table the objects that were put into the log, its entry for the manifest, and its change for latest.
Must not know: star, warehouse.
"""
