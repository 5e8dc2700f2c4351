"""The commands by name, in the order in which `tidemark --help` lists them."""

import typer

from tidemark.cli import (
    backfill,
    compact,
    demo,
    doctor,
    generate,
    history,
    init,
    quarantine,
    rebuild,
    stages,
    status,
    verify,
)
from tidemark.cli.options import TidemarkCommand, TidemarkGroup

app = typer.Typer(cls=TidemarkGroup, add_completion=False, rich_markup_mode="markdown")


@app.callback()
def tidemark() -> None:
    """Move a PostgreSQL database into a data warehouse and keep the full history of its facts.

    Every command takes the settings as flags (`tidemark run --help` lists them), before or behind its name.

    Exit codes: 0 success, 2 configuration, 3 something was away or busy, 4 the source changed shape, 5 rows break a
    rule, 6 Tidemark's own records disagree or another run was faster, 1 anything unexpected.
    """


for _command in (
    demo.demo,
    stages.run,
    stages.ingest,
    stages.transform,
    stages.load,
    backfill.backfill,
    status.status,
    verify.verify,
    history.history,
    quarantine.quarantine,
    rebuild.rebuild,
    compact.compact,
    init.init,
    doctor.doctor,
    generate.generate,
):
    app.command(cls=TidemarkCommand)(_command)
