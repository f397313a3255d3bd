"""`run` and `retry`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from synthkit import api
from synthkit.cli.options import run_argument, spec_options
from synthkit.cli.summary import report
from synthkit.core.errors import StoreError
from synthkit.execute.memory import return_freed_memory
from synthkit.execute.options import RunOptions


@click.command("run")
@spec_options
@click.option("--out", type=click.Path(file_okay=False), help="Run directory; default runs/<spec name>.")
@click.option("--limit", type=click.IntRange(1), help="First N rows by id of every source, also in specs it reads.")
@click.option("--until", metavar="STEP", help="Run this step and what it needs; publish nothing.")
@click.option("--max-tokens", type=click.IntRange(1), help="Stop, resumably, after this many generated tokens.")
@click.option("--max-requests", type=click.IntRange(1), help="Stop, resumably, after this many requests.")
@click.option("--concurrency", type=click.IntRange(1), help="Most source rows under way at once.")
@click.option("--quiet", is_flag=True, help="No progress and no rows; the ledger still comes.")
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
    return_freed_memory()
    graph = api.check(spec, models=models, sets=sets, path=path)
    options = RunOptions(limit, until, max_tokens, max_requests, concurrency)
    watch = None if quiet else _progress
    result = api.run(graph, models=models, sets=sets, path=path, out=out, options=options, watch=watch)
    report(result, graph.engines.values(), rows=not quiet)


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

    return_freed_memory()
    state = api.open(run).state
    given = dict(state.get("given", {})) | ({"models": models} if models is not None else {})
    graph = None if dry_run else api.check(_spec_of(run, state), **given)
    chosen = raise_attempts(Path(run), step=step, where=where, sets=sets, dry_run=dry_run)
    total = sum(chosen.values())
    for name, count in chosen.items():
        rows = f"{count:,} rejected row" + ("" if count == 1 else "s")
        click.echo(f"{name}: {rows}{' to be' if dry_run else ''} asked again")
    if not total:
        click.echo("no rejected row is meant; without --where only failed ones are")
    if graph is None or not total:
        return
    result = api.run(graph, **given, out=run, options=RunOptions(limit=state.get("limit")), watch=_progress)
    report(result, graph.engines.values(), rows=True)


def _spec_of(run: str, state: Mapping[str, Any]) -> str:
    spec = str(state["spec"])
    if not Path(spec).is_file():
        raise StoreError(
            f"{run} was made from {spec}, which is not there; call retry from the folder of that run's call"
        )
    return spec


def _progress(pool: Any) -> Any:
    from synthkit.execute.progress import Progress

    return Progress(pool)
