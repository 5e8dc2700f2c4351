"""PostgreSQL: connections, its errors by family, and the statements that Tidemark runs in source and warehouse.

In: a URL.
Out: sessions without state, composed statements, the hash of a row.
Must not know: capture, log, star, warehouse, lake, objects.
"""
