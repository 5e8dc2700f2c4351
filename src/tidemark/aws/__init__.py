"""The Lambda functions: `tidemark.aws.<stage>.handler`.

In: an event of the state machine, the environment.
Out: a stage's report as a result, metrics in the log, errors by family. Nothing imports this room.
Must not know: cli, embedded.
"""

from tidemark.extras import needed_for

# Before any function imports more of it: without it, each is to say the same.
with needed_for("aws"):
    import aws_lambda_powertools  # noqa: F401 -- only asked for
