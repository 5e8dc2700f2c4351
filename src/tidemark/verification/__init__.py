"""Verification: the proof that source, latest, star and warehouse hold the same, or the keys at which they differ.

In: all four places and the log, each as of a batch. Nothing is written to any of them.
Out: for each edge and each table a proof, or the rows that differ, with their likely cause.
Must not know: pipeline.
"""
