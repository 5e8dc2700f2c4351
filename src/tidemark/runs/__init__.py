"""The record of runs: what each command did, how it ended, and what that says of the pipeline's health.

In: a run that has ended, the warehouse's address, objects beside the pointer.
Out: the runs of a pipeline, newest first, and the health that they and the places show.
Must not know: capture, log, star, warehouse, lake, tables, verification.
"""
