"""What a run says at its end: the ledgers, where the rows are, the first of them, and what to type next.

The rows shown are the first by id, which is a hash: nobody chose them. Where nothing was kept, the step that lost
everything is named instead, since that is what the reader asks next.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping

import click

from synthkit import api
from synthkit.cli.options import program
from synthkit.core.engine import EngineConfig
from synthkit.core.store import StepCounts

REHEARSAL = "nano"
"""The embedded model."""


def report(result: api.RunResult, engines: Iterable[EngineConfig], *, rows: bool) -> None:
    """Say what a run came to; `rows` shows the first ones. Ends the process where the exit code is not 0."""
    every = (*result.reads, result)
    _ledgers(every, whole=result.stopped is None)
    problems = [f"{each.path}: {problem}" for each in every for problem in each.problems]
    for problem in problems:
        click.echo(f"ledger: {problem}", err=True)
    if result.stopped is not None:
        click.echo(f"\nstopped: {result.stopped}", err=True)
        sys.exit(result.stopped.exit_code)
    if result.tables:
        _tables(result, rows=rows)
        _lost(every, result)
        click.echo(f"\nlook at them:  {program()} show {result.path}")
        click.echo(f"in Python:     synthkit.open({str(result.path)!r})[{next(iter(result.tables))!r}].collect()")
    pending = sum(counts.pending for each in every for counts in each.ledger.values())
    if pending and not problems:
        click.echo(
            f"\n{pending:,} {'rows are' if pending > 1 else 'row is'} pending: run again to ask for what is missing"
        )
    if any(engine.model_dump().get("vllm") == REHEARSAL for engine in engines):
        _rehearsal()
    if problems:
        sys.exit(1)


def _rehearsal() -> None:
    from synthkit.inspect.text import folded

    said = (
        f"{REHEARSAL} is a rehearsal model, there to try the machinery; for rows to train on, plug in a real teacher: "
        "--models FILE, for instance specs/models_server.yaml."
    )
    click.echo("\n" + "\n".join(folded(said)))


def _ledgers(every: Iterable[api.RunResult], *, whole: bool) -> None:
    """The ledger of each run; of a run that was stopped, only where something has begun."""
    from synthkit.inspect.text import ledger_table

    for each in every:
        if whole or any(counts.input or counts.output for counts in each.ledger.values()):
            click.secho(f"\n{each.path}", bold=True)
            click.echo(ledger_table(each.ledger))
    sys.stdout.flush()


def _tables(result: api.RunResult, *, rows: bool) -> None:
    from synthkit.inspect.tables import glimpse

    click.echo("")
    for table, count in result.tables.items():
        click.echo(f"{count:>8,} {'row ' if count == 1 else 'rows'}  {result.path / 'published' / table}.lance")
    if not rows:
        return
    opened = api.open(result.path)
    for table, count in result.tables.items():
        if count and (shown := glimpse(opened, table)):
            click.secho(f"\nfirst rows of {table} by id, cut to fit", bold=True)
            click.echo(shown)
            return


def _lost(every: Iterable[api.RunResult], result: api.RunResult) -> None:
    """Where nothing is published: the step that kept nothing of what it got, and how to see why."""
    if any(result.tables.values()):
        return
    for each in every:
        if (step := _first_without_rows(each.ledger)) is not None:
            lost = each.ledger[step].input
            click.echo(f"\n{step!r} kept none of its {lost:,} rows. See why:")
            click.echo(f"  {program()} rejects {each.path} --step {step}")
            return


def _first_without_rows(ledger: Mapping[str, StepCounts]) -> str | None:
    return next((name for name, counts in ledger.items() if counts.input and not counts.output), None)
