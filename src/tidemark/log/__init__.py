"""The change log: manifests and objects, the present state of every source table (latest), and the pointer.

In: objects that a poll has written, and the manifest that makes them a batch.
Out: manifests, verified objects, and latest as of any batch.
Must not know: capture, star, warehouse, postgres.
"""
