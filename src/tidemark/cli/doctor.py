"""The command `doctor`: what would make a run fail, and what to do about it."""

from collections import Counter
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tidemark.cli.options import Invocation, invocation
from tidemark.cli.output import masked, out, print_json, say
from tidemark.errors import ConfigError

if TYPE_CHECKING:
    from tidemark.doctor import Finding

STYLES = {"hint": "yellow", "failure": "bold red"}


def doctor(
    ctx: typer.Context,
    *,
    sql: Annotated[
        Literal["source", "warehouse", "dashboard"] | None,
        typer.Option(help="Print the SQL that makes a role for it, with only the rights that it needs."),
    ] = None,
) -> None:
    """Check settings, connections, rights and versions: each line is a pass, a hint or a failure with what to do.

    It ends with 2 when there is a failure. It writes one small object into each bucket and deletes it again,
    and removes what commands that were killed left in the temporary directory.

    Example: `tidemark doctor`
    """
    from tidemark.doctor import examine  # noqa: PLC0415 -- `--help` does without DuckDB

    called = invocation(ctx)
    if sql:
        _show_role(called, sql)
        return
    counts: Counter[str] = Counter()
    findings = []
    for finding in examine(called.pipeline):
        counts[finding.outcome] += 1
        findings.append(finding)
        if not called.as_json:
            _show(finding)
    if called.as_json:
        print_json({"findings": [asdict(each) for each in findings], "failures": counts["failure"]})
    else:
        out().print(f"{counts['pass']} passed, {counts['hint']} hints, {counts['failure']} failures")
    if counts["failure"]:
        raise typer.Exit(ConfigError.exit_code)


def _show_role(called: Invocation, database: Literal["source", "warehouse", "dashboard"]) -> None:
    from tidemark.warehouse.roles import role_sql  # noqa: PLC0415 -- `--help` does without psycopg

    script = role_sql(called.pipeline().model, database)
    if called.as_json:
        print_json({"database": database, "sql": script})
    else:
        say(script, nl=False)


def _show(finding: "Finding") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    line = Text(f"{finding.outcome:<8}", style=STYLES.get(finding.outcome, "green"))
    line.append(f"{finding.area:<10} ", style="default bold")
    line.append(masked(finding.found), style="default")
    out().print(line, soft_wrap=True)
    if finding.advice:
        out().print(Text(f"{'':8}{'':10} what to do: {finding.advice}"), soft_wrap=True)
