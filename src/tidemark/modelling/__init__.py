"""Modelling: a first model from a source's catalogue, the mistakes in a model, and a picture of its star.

In: a model's directory, which may be wrong anywhere; a source, if there is one.
Out: problems with file, line and advice; the files of a new model; pictures as text and as Mermaid.
Must not know: cli, aws, embedded.
"""
