"""The tables: the statements that make the warehouse's tables, derived from the model where nobody has written them.

In: the model with its SELECTs, and the columns of the source.
Out: one text of SQL, the derived statements and those of the model's warehouse.sql.
Must not know: capture, star, warehouse, verification.
"""
