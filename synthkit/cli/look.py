"""`show`, `rejects`, `audit`, `diff` and `export`: reading runs."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import click

from synthkit import api
from synthkit.cli.options import run_argument


@click.command("show")
@run_argument
@click.argument("table", required=False)
@click.option("--samples", type=click.IntRange(0), default=3, show_default=True, help="Rows shown whole, first by id.")
@click.option("--row", "rows", multiple=True, metavar="ID", help="Show these rows instead (ids or their beginnings).")
def show_command(run: str, table: str | None, samples: int, rows: Sequence[str]) -> None:
    """Look at RUN, or at one TABLE of it: counts, schema, samples, lengths, accept rates."""
    from synthkit.inspect import tables

    opened = api.open(run)
    if table is None:
        parts = [tables.counts(opened), tables.rates(opened), tables.usage(opened)]
        click.echo("\n\n".join(part for part in parts if part))
    for name in [table] if table is not None else opened.store.published_names():
        parts = [tables.schema(opened, name), tables.lengths(opened, name)]
        if samples or rows:
            parts.append(tables.samples(opened, name, samples, rows))
        click.echo(("\n" if table is None else "") + "\n\n".join(part for part in parts if part))


@click.command("rejects")
@run_argument
@click.option("--step", help="Only those of this step.")
@click.option("--reason", help="Only those with this reason.")
@click.option("--samples", type=click.IntRange(0), default=5, show_default=True, help="Rejects shown whole.")
def rejects_command(run: str, step: str | None, reason: str | None, samples: int) -> None:
    """Look at what RUN did not keep, and why, with the raw replies."""
    from synthkit.inspect.rejects import describe_rejects

    click.echo(describe_rejects(api.open(run), step=step, reason=reason, samples=samples))


@click.command("audit")
@run_argument
def audit_command(run: str) -> None:
    """Check that every row of RUN is in exactly one place, and the bounds of the spec's `audit:`."""
    from synthkit.inspect.bounds import check_bounds
    from synthkit.inspect.text import ledger_table

    opened = api.open(run)
    found = opened.account()
    click.echo(ledger_table(found.counts))
    problems = [*found.problems, *check_bounds(opened, found.counts)]
    for problem in problems:
        click.echo(f"audit: {problem}", err=True)
    if problems:
        sys.exit(1)
    click.echo("audit: every row is in one place, and every bound holds")


@click.command("diff")
@click.argument("one", type=click.Path(file_okay=False))
@click.argument("two", type=click.Path(file_okay=False))
def diff_command(one: str, two: str) -> None:
    """Compare two runs: definitions, counts, rows."""
    from synthkit.inspect.diff import diff

    click.echo(str(diff(api.open(one), api.open(two))) or "no difference")


@click.command("export")
@run_argument
@click.argument("table")
@click.option("--to", "form", type=click.Choice(["jsonl", "parquet"]), default="jsonl", show_default=True)
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), required=True, help="Folder to write into.")
@click.option("--tag", help="The version that this tag names.")
def export_command(run: str, table: str, form: Literal["jsonl", "parquet"], out: Path, tag: str | None) -> None:
    """Write TABLE of RUN as JSONL or Parquet, with a dataset card that names sources and licences."""
    from synthkit.inspect.export import export

    click.echo(export(api.open(run), table, form, out, tag=tag))
