"""`show`, `rejects`, `audit` and `diff`: reading runs."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence

import click

from synthkit import api
from synthkit.cli.options import run_argument


@click.command("show")
@run_argument
@click.argument("table", required=False)
@click.option("--samples", type=click.IntRange(0), default=3, show_default=True, help="Rows shown whole, first by id.")
@click.option("--row", "rows", multiple=True, metavar="ID", help="Show these rows instead (ids or their beginnings).")
def show_command(run: str, table: str | None, samples: int, rows: Sequence[str]) -> None:
    """Look at RUN, or at one TABLE of it: counts, schema, samples, lengths, accept rates.

    TABLE is a published table or a step.
    """
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


def _tokens(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """A length as specs write it: 32768 or 32Ki."""
    from synthkit.core.sizes import parse_tokens

    try:
        return None if value is None else parse_tokens(value)
    except ValueError as error:
        raise click.BadParameter(str(error)) from None


@click.command("audit")
@run_argument
@click.option("--window", metavar="TOKENS", callback=_tokens, help="Say how many rows are longer, e.g. 32Ki.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def audit_command(run: str, window: int | None, as_json: bool) -> None:
    """Audit RUN: every row in exactly one place, the bounds of the spec's `audit:`, and what is in the rows.

    Planned calls against tools and memory, answers where they do not belong, lengths, and whether verdicts follow
    length or place. Exit code 1 if the ledger does not balance or a bound is broken.
    """
    from synthkit.inspect.audits.report import report
    from synthkit.inspect.audits.text import report_text
    from synthkit.inspect.text import ledger_table

    found = report(api.open(run), window=window)
    if as_json:
        click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False))
    else:
        click.echo("\n\n".join(part for part in (ledger_table(found.ledger), report_text(found)) if part) + "\n")
    for problem in found.problems:
        click.echo(f"audit: {problem}", err=True)
    if found.problems:
        sys.exit(1)
    if not as_json:
        click.echo("audit: every row is in one place, and every bound holds")


@click.command("diff")
@click.argument("one", type=click.Path(file_okay=False))
@click.argument("two", type=click.Path(file_okay=False))
def diff_command(one: str, two: str) -> None:
    """Compare two runs: definitions, counts, rows."""
    from synthkit.inspect.diff import diff

    click.echo(str(diff(api.open(one), api.open(two))) or "no difference")
