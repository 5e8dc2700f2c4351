"""The star: one batch of the change log becomes rows of facts and dimensions, or rows in quarantine.

In: a manifest of the log, latest as of its batch, the model's SELECTs.
Out: Delta tables of facts and dimensions, quarantine, and the processed manifest; rows of these as lines for COPY.
Must not know: capture, warehouse.
"""
