"""The command `model`: begin a model for a database, find the mistakes in one, and show its star."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tidemark.cli.options import Invocation, invocation
from tidemark.cli.output import out, print_json, say
from tidemark.cli.progress import waiting
from tidemark.disclosure import in_one_block
from tidemark.errors import ConfigError

if TYPE_CHECKING:
    from tidemark.modelling.check import Checked
    from tidemark.modelling.new import Written


def model(
    ctx: typer.Context,
    action: Annotated[
        Literal["new", "check", "show"],
        typer.Argument(help="new writes a first star, check finds mistakes, show draws the star."),
    ],
    directory: Annotated[
        str | None, typer.Argument(metavar="DIR", help="The model's directory. Default: the configured model.")
    ] = None,
    *,
    schema: Annotated[
        list[str] | None, typer.Option(help="new: a schema to take tables from, as often as needed. Default: all.")
    ] = None,
    engine: Annotated[
        Literal["spark"] | None,
        typer.Option(help="check: name also what does not mean the same to this engine; needs tidemark[spark]."),
    ] = None,
    mermaid: Annotated[bool, typer.Option("--mermaid", help="show: draw a diagram in Mermaid's language.")] = False,
) -> None:
    """Begin a model for a database, find every mistake in a model, or show its star.

    new writes a first star from the source's catalogue, which runs as it is, and never over a file that is there. It
    says in comments why it takes a column for a time and a table for a fact, and what a person is to decide. --include
    and --exclude choose tables, as for a mirror.

    check names every mistake with file, line and what to do, and ends with 2 if there is one. With a source it also
    compares the model with the source's catalogue, and runs each SELECT on a few hundred rows of each table. With
    --engine spark it also names what of a SELECT cannot be carried over to Spark, and runs each SELECT whose columns it
    knows, from source.toml or the source, on DuckDB and on Sail over the same made-up rows.

    Example: `tidemark model new shop --source-url postgresql://reader@db/shop`, then `tidemark model check shop` and
    `tidemark model show shop --mermaid`
    """
    called = invocation(ctx)
    if mermaid and action != "show":
        raise ConfigError(f"--mermaid belongs to show, not to {action}", advice="leave it out")
    if schema and action != "new":
        raise ConfigError(f"--schema belongs to new, not to {action}", advice="leave it out")
    if engine and action != "check":
        raise ConfigError(f"--engine belongs to check, not to {action}", advice="leave it out")
    if action == "new":
        _new(called, directory, schema or ())
    elif directory is None and called.settings.model == "mirror":
        advice = "tidemark doctor says what it takes, and tidemark model new DIR writes a star"
        raise ConfigError(f"a mirror is made from the catalogue: there is no model to {action}", advice=advice)
    elif action == "check":
        _check(called, directory or called.settings.model, for_spark=engine is not None)
    elif action == "show":
        _show(directory or called.settings.model, mermaid=mermaid, as_json=called.as_json)


def _new(called: Invocation, directory: str | None, schemas: Sequence[str]) -> None:
    from tidemark.mirror import Scope  # noqa: PLC0415 -- `--help` does without DuckDB
    from tidemark.modelling.check import check  # noqa: PLC0415 -- as above
    from tidemark.modelling.new import write_model  # noqa: PLC0415 -- as above
    from tidemark.settings import names_in  # noqa: PLC0415 -- as above

    if directory is None:
        raise ConfigError("new needs a directory", advice="tidemark model new DIR --source-url postgresql://…")
    pipeline = called.pipeline()
    pipeline.require("source")
    scope = Scope(tuple(schemas), names_in(called.settings.include), names_in(called.settings.exclude))
    with waiting("reading the catalogue"):
        written = write_model(Path(directory), pipeline.source_url, scope)
    with waiting("checking the model"):
        checked = check(directory, pipeline.source_url)
    if checked.failure:
        raise checked.failure
    if called.as_json:
        left_out = [{"table": ".".join(place), "reason": why} for place, why in written.left_out.items()]
        print_json({**asdict(written), "left_out": left_out, "problems": list(map(asdict, checked.problems))})
    else:
        _show_written(written)
        _show_checked(checked, has_source=True)
    if checked.problems:
        raise typer.Exit(ConfigError.exit_code)


def _show_written(written: "Written") -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    for kind, names in (("facts", written.facts), ("dimensions", written.dimensions)):
        out().print(Text(f"{kind:<11} {', '.join(names) or '-'}"), soft_wrap=True)
    for place, why in written.left_out.items():
        out().print(Text(in_one_block(f"left out    {'.'.join(place)}: {why}"), style="yellow"), soft_wrap=True)
    out().print(
        f"{len(written.files)} files in {written.directory}; {written.decisions} lines say what to decide", markup=False
    )
    out().print(Text(f"next: tidemark init --model {written.directory}, then tidemark run --model {written.directory}"))


def _check(called: Invocation, name: str, *, for_spark: bool) -> None:
    from tidemark.modelling.check import check  # noqa: PLC0415 -- `--help` does without DuckDB

    settings = called.settings
    url = called.pipeline().source_url if settings.source_url or settings.source_secret else None
    with waiting("checking the model"):
        checked = check(name, url, for_spark=for_spark)
    if checked.failure and not checked.problems:
        raise checked.failure
    if called.as_json:
        print_json(
            {
                "directory": str(checked.directory),
                "problems": [asdict(problem) for problem in checked.problems],
                "sampled": checked.sampled,
                "not_asked": checked.failure.message if checked.failure else None,
                **({} if checked.compared is None else {"compared": checked.compared}),
            }
        )
    else:
        _show_checked(checked, has_source=url is not None)
    if checked.problems:
        raise typer.Exit(ConfigError.exit_code)


def _show_checked(checked: "Checked", *, has_source: bool) -> None:
    from rich.text import Text  # noqa: PLC0415 -- `--json` does without

    for problem in checked.problems:
        line = Text(f"{checked.directory / problem.file}:{problem.line}: ", style="bold")
        line.append(problem.problem, style="default not bold")
        out().print(line, soft_wrap=True)
        out().print(Text(f"    what to do: {problem.advice}"), soft_wrap=True)
    told = "no mistake" if not checked.problems else _counted(len(checked.problems), "mistake")
    with_source = (
        "" if checked.sampled is None else f", on {_counted(sum(checked.sampled.values()), 'row')} of the source"
    )
    out().print(f"{checked.directory}: {told} found{with_source}", markup=False, soft_wrap=True)
    if checked.compared is not None:
        run = f"{_counted(len(checked.compared), 'SELECT')} ran on DuckDB and on Sail over the same made-up rows"
        out().print(run, markup=False, soft_wrap=True)
    if checked.failure:
        out().print(f"the source was not asked: {checked.failure.message}", markup=False, soft_wrap=True)
    elif not has_source:
        out().print("with --source-url the source's catalogue and its rows are asked as well", style="dim")


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def _show(name: str, *, mermaid: bool, as_json: bool) -> None:
    from tidemark.model_reader import load_model  # noqa: PLC0415 -- `--help` does without
    from tidemark.modelling.picture import as_mermaid, as_text  # noqa: PLC0415 -- as above

    loaded = load_model(name)
    if as_json:
        print_json({"model": loaded.name, "text": as_text(loaded), "mermaid": as_mermaid(loaded)})
    else:
        say(as_mermaid(loaded) if mermaid else as_text(loaded), nl=False)
