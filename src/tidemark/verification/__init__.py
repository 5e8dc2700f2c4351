"""Verification: the proof that source, latest, star and warehouse hold the same, or the keys at which they do not.

In: all four places and the log, each as of a batch; nothing is written to any of them.
Out: for each pair of places and each table a proof, or the rows that differ with their likely cause.
Must not know: pipeline.
"""
