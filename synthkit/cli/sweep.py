"""`sweep`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import click

from synthkit import api
from synthkit.cli.options import run_argument


@click.command("sweep")
@run_argument
@click.argument("step")
@click.argument("settings", nargs=-1, metavar="[vars.NAME=VALUES]...")
@click.option(
    "--gold", type=click.Path(dir_okay=False, path_type=Path), help="A person's marks: adds precision, recall."
)
@click.option("--marks", type=click.Path(dir_okay=False, path_type=Path), help="Write rows to mark, as CSV, and stop.")
@click.option("--rows", type=click.IntRange(1), default=50, show_default=True, help="With --marks: how many rows.")
@click.option("--seed", type=int, default=0, show_default=True, help="With --marks: which rows; more add to fewer.")
@click.option("--width", type=click.IntRange(20), default=1200, show_default=True, help="With --marks: longest text.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def sweep_command(
    run: str,
    step: str,
    settings: Sequence[str],
    gold: Path | None,
    marks: Path | None,
    rows: int,
    seed: int,
    width: int,
    as_json: bool,
) -> None:
    """Say what STEP of RUN, a judge or a filter, would keep at other values of its variables; asks no model.

    VALUES are a range, 0.3..0.9 or 0.3..0.9/0.05, or a list, 0.5,0.7. With several variables every combination is
    tried. First mark rows: --marks FILE, fill its column `mark` with 1 or 0, then --gold FILE.
    """
    from synthkit.inspect.judged import judged
    from synthkit.inspect.marks import read_marks, write_marks
    from synthkit.inspect.sweep import read_settings, sweep
    from synthkit.inspect.sweep_text import sweep_text

    opened = api.open(run)
    if marks is not None:
        reads = opened.state.get("reads", {}).get(opened.node(step), ())
        count = write_marks(judged(opened, step, reads), marks, rows=rows, seed=seed, width=width)
        click.echo(f"{marks}: {count} rows; write 1 (good) or 0 (bad) into the column `mark`, then give it to --gold")
        return
    if not settings:
        raise click.UsageError("say which variable to vary, e.g. vars.bar=0.3..0.9, or write rows to mark with --marks")
    found = sweep(opened, step, read_settings(settings), read_marks(gold) if gold is not None else None)
    click.echo(json.dumps(found.as_json(), indent=2, ensure_ascii=False) if as_json else sweep_text(found))
