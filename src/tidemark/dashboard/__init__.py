"""The dashboard: live pages on warehouse, lake and log, as a web server or as static files.

In: a pipeline, the figures of its model (`dashboard/*.sql`), and what a request asks for.
Out: HTML with charts as SVG; the warehouse is only read, in read-only transactions that end after a while.
Must not know: cli, aws, capture, lake, embedded.
"""
