"""The Lambda functions: `tidemark.aws.<stage>.handler`.

In: an event of the state machine, the environment.
Out: a stage's report as a result, metrics in the log, errors by family. Nothing imports this room.
Must not know: cli, embedded.
"""
