"""The command `verify`: prove source = latest = star = warehouse, table by table."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

import typer

from tidemark.cli.options import invocation
from tidemark.cli.output import masked, new_table, out, print_json, shown_count
from tidemark.cli.progress import progress_shown
from tidemark.cli.recording import recorded

if TYPE_CHECKING:
    from tidemark.runs.run import Verified
    from tidemark.verification.result import Difference, Edge, TableProof, Verification


def verify(
    ctx: typer.Context,
    *,
    deep: Annotated[
        bool,
        typer.Option(
            "--deep",
            help="Also fold the whole log, and compare latest and the star with the result.",
        ),
    ] = False,
) -> None:
    """Prove that source, latest, star and warehouse hold the same, row by row, or name the keys at which they differ.

    The warehouse has to keep its laws as well: references find their rows, versions meet, the model's checks hold.
    Changes that came after the last batch are pending, rows in quarantine are set aside: neither is a difference. A
    place that is not configured is left out.

    It changes no row. It ends with 5 when there is a difference or a law is broken, and otherwise with the code of the
    error that kept a place from being asked, such as 3.

    Example: `tidemark verify --deep`
    """
    called = invocation(ctx)
    pipeline = called.pipeline()
    with recorded(pipeline, "verify") as recording:
        with progress_shown() as progress:
            found = pipeline.verify.run(deep=deep, progress=progress)
        recording.did("verify")
        recording.verified = verified_by(found)
        recording.message = _in_short(found)
        if called.as_json:
            print_json(describe(found))
        else:
            _show(found)
        if found.exit_code:
            raise typer.Exit(found.exit_code)


def verified_by(found: "Verification") -> "Verified":
    """Return what the record of runs keeps of a verification."""
    from tidemark.runs.run import Verified  # noqa: PLC0415 -- `--help` does without

    tables = sum(len(edge.tables) for edge in found.edges)
    return Verified(tables, found.count, sum(bool(edge.skipped) for edge in found.edges))


def _in_short(found: "Verification") -> str:
    """Say where the differences are; without their keys, which the output has."""
    broken = [f"{edge.name}: {table.table}" for edge in found.edges for table in edge.tables if not table.is_proven]
    return f"{shown_count(found.count)} differences ({', '.join(broken)})" if broken else ""


def describe(found: "Verification") -> dict[str, object]:
    """Return a verification as `--json` prints it."""
    from dataclasses import asdict  # noqa: PLC0415 -- beside the only use

    return {**asdict(found), "differences": found.count, "is_proven": not found.exit_code}


def _show(found: "Verification") -> None:
    for edge in found.edges:
        _show_edge(edge)
    places = ", ".join(f"{name} {batch or '-'}" for name, batch in found.batches.items())
    skipped = [edge.name for edge in found.edges if edge.skipped]
    if found.count:
        verdict = f"[bold red]{shown_count(found.count)} differences[/bold red]"
    elif skipped:
        proven = "no difference in what was compared" if len(skipped) < len(found.edges) else "nothing was compared"
        verdict = f"[yellow]{proven}; not compared: {'; '.join(skipped)}[/yellow]"
    else:
        verdict = "[green]no difference[/green]"
    out().print(f"{verdict} (batches: {places}; {found.seconds:.1f} s)", soft_wrap=True)


def _show_edge(edge: "Edge") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    from tidemark.verification.causes import LAWS  # noqa: PLC0415 -- as above

    if edge.skipped:
        out().print(f"[bold]{edge.name}[/bold]: not compared", style="yellow")
        out().print(Text(f"  {masked(edge.skipped)}{f': {edge.advice}' if edge.advice else ''}\n"), soft_wrap=True)
        return
    left, _, right = edge.name.partition(" = ")
    good, bad = ("kept", "rows break it") if edge.name == LAWS else ("agree", "keys differ")
    if any(table.left for table in edge.tables):
        columns = ("table", left, right, "checksums", "pending", "set aside", "differences")
        table = new_table(*columns, numbers=(left, right, "differences"), title=f"{edge.name}, batch {edge.batch}")
        for each in edge.tables:
            table.add_row(*_row(each), style=None if each.is_proven else "red")
        out().print(table)
    else:
        out().print(f"[bold]{edge.name}, batch {edge.batch}[/bold]: {_summary(edge, good)}", soft_wrap=True)
    for each in edge.tables:
        _show_problems(each, bad)
    out().print()


def _row(proof: "TableProof") -> tuple[str, ...]:
    sides = [shown_count(side.rows) if side else "-" for side in (proof.left, proof.right)]
    checksums = "-"
    if proof.left and proof.right:
        checksums = "equal" if proof.left == proof.right else "differ"
    pending = ", ".join(f"{shown_count(count)} {kind}" for kind, count in proof.pending.items())
    set_aside = shown_count(proof.set_aside) if proof.set_aside else ""
    differences = "unreadable" if proof.problem else shown_count(proof.count)
    return proof.table, *sides, checksums, pending, set_aside, differences


def _summary(edge: "Edge", good: str) -> str:
    return ", ".join(f"{each.table} {good if each.is_proven else 'broken'}" for each in edge.tables)


def _show_problems(proof: "TableProof", what: str) -> None:
    from rich.text import Text  # noqa: PLC0415 -- as above

    if proof.note:
        out().print(Text(f"  {proof.table}: {proof.note}", style="dim"), soft_wrap=True)
    if proof.is_proven:
        return
    lines = [f"  {proof.table}: {proof.problem or f'{shown_count(proof.count)} {what}'}"]
    lines += [f"    {_sentence(each)}" for each in proof.differences]
    if proof.count > len(proof.differences) > 0:
        lines.append(f"    and {shown_count(proof.count - len(proof.differences))} more")
    lines += [f"    likely cause: {proof.cause}"] if proof.cause else []
    lines += [f"    what to do: {proof.advice}"] if proof.advice else []
    for line in lines:
        out().print(Text(masked(line), style="red"), soft_wrap=True)


def _sentence(difference: "Difference") -> str:
    values = "; ".join(f"{name} {_shown(left)} | {_shown(right)}" for name, (left, right) in difference.values.items())
    return f"{_key(difference.key)}: {difference.kind}{f': {values}' if values else ''}"


def _key(key: Mapping[str, str | None]) -> str:
    return ", ".join(f"{name} {value}" for name, value in key.items())


def _shown(value: str | None) -> str:
    return "null" if value is None else repr(value)
