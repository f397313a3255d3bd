"""`run` and `retry`."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from synthkit import api
from synthkit.cli.options import run_argument, spec_options
from synthkit.execute.options import RunOptions

if TYPE_CHECKING:
    from synthkit.plan.graph import Graph


@click.command("run")
@spec_options
@click.option("--out", type=click.Path(file_okay=False), help="Run directory; default runs/<spec name>.")
@click.option("--limit", type=click.IntRange(1), help="First N rows by id of every source, also in specs it reads.")
@click.option("--until", metavar="STEP", help="Run this step and what it needs; publish nothing.")
@click.option("--max-tokens", type=click.IntRange(1), help="Stop, resumably, after this many generated tokens.")
@click.option("--max-requests", type=click.IntRange(1), help="Stop, resumably, after this many requests.")
@click.option("--concurrency", type=click.IntRange(1), help="Most source rows under way at once.")
@click.option("--quiet", is_flag=True, help="No progress; the summary still comes.")
def run_command(
    spec: str,
    models: str | None,
    sets: Mapping[str, str],
    path: Sequence[str],
    out: str | None,
    limit: int | None,
    until: str | None,
    max_tokens: int | None,
    max_requests: int | None,
    concurrency: int | None,
    quiet: bool,
) -> None:
    """Run SPEC, or go on with its run: what is finished is reused, what failed to arrive is asked again."""
    graph = api.check(spec, models=models, sets=sets, path=path)
    options = RunOptions(limit, until, max_tokens, max_requests, concurrency)
    watch = None if quiet else _progress
    result = api.run(graph, models=models, sets=sets, path=path, out=out, options=options, watch=watch)
    _report(result, graph)


@click.command("retry")
@run_argument
@click.option("--step", help="Only rejects of this step.")
@click.option("--where", metavar="EXPR", help="Only rejects for which this holds, e.g. \"reason == 'truncated'\".")
@click.option(
    "--set", "sets", multiple=True, metavar="FIELD=VALUE", help="Role field for these rows only, e.g. max_tokens=4096."
)
@click.option("--models", type=click.Path(dir_okay=False), help="Use these engines and models.")
@click.option("--dry-run", is_flag=True, help="Say what would be asked again, and stop.")
def retry_command(
    run: str, step: str | None, where: str | None, sets: Sequence[str], models: str | None, dry_run: bool
) -> None:
    """Ask rejected rows of RUN again: their attempt is raised, and recovered rows flow on."""
    from synthkit.inspect.retry import raise_attempts

    chosen = raise_attempts(Path(run), step=step, where=where, sets=sets, dry_run=dry_run)
    total = sum(chosen.values())
    for name, count in chosen.items():
        rows = f"{count:,} rejected row" + ("" if count == 1 else "s")
        click.echo(f"{name}: {rows}{' to be' if dry_run else ''} asked again")
    if not total:
        click.echo("no rejected row is meant; without --where only failed ones are")
    if dry_run or not total:
        return
    state = api.open(run).state
    given = dict(state.get("given", {}))
    given |= {"models": models} if models is not None else {}
    graph = api.check(state["spec"], **given)
    result = api.run(graph, **given, out=run, options=RunOptions(limit=state.get("limit")), watch=_progress)
    _report(result, graph)


def _progress(pool: Any) -> Any:
    from synthkit.execute.progress import Progress

    return Progress(pool)


def _report(result: api.RunResult, graph: Graph) -> None:
    """The ledgers, where the rows are, and how to look at them; ends with the run's exit code."""
    from synthkit.inspect.text import ledger_table

    every = (*result.reads, result)
    for each in every:
        click.secho(f"\n{each.path}", bold=True)
        click.echo(ledger_table(each.ledger))
    sys.stdout.flush()
    problems = [f"{each.path}: {problem}" for each in every for problem in each.problems]
    for problem in problems:
        click.echo(f"ledger: {problem}", err=True)
    if result.stopped is not None:
        click.echo(f"\nstopped: {result.stopped}", err=True)
        sys.exit(result.stopped.exit_code)
    if result.tables:
        click.echo("")
        for table, rows in result.tables.items():
            click.echo(f"{rows:>8,} rows  {result.path / 'published' / table}.lance")
        click.echo(f"\nlook at them:  synthkit show {result.path}")
        first = next(iter(result.tables))
        click.echo(f"in Python:     synthkit.open({str(result.path)!r})[{first!r}].collect()")
    pending = sum(counts.pending for each in every for counts in each.ledger.values())
    if pending and not problems:
        click.echo(f"\n{pending:,} rows are pending: run again to ask for them")
    if _rehearses(graph):
        click.echo(
            "\nThese rows were written by nano, the embedded rehearsal model: it is there to try the machinery.\n"
            "Plug in a real teacher with --models FILE (see README, 'A real teacher')."
        )
    if problems:
        sys.exit(1)


def _rehearses(graph: Graph) -> bool:
    return any(config.model_dump().get("vllm") == "nano" for config in graph.engines.values())
