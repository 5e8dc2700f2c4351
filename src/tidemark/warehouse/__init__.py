"""The warehouse: its tables, its ledger, and the transaction in which a batch enters them.

In: the model's warehouse.sql, and rows of the star as lines for COPY.
Out: a database whose tables, views and ledger change together, and the history of a row in it.
Must not know: capture, log, star, lake.
"""
