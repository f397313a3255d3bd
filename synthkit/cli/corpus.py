"""`export`, `trace` and `preflight`: from tables to what a trainer reads."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Literal

import click

from synthkit import api
from synthkit.cli.options import program


@click.command("export")
@click.argument("run", metavar="RECIPE|RUN", type=click.Path())
@click.argument("table", required=False)
@click.option("--plan", "only_plan", is_flag=True, help="RECIPE: tokens, packs, bytes and time, and stop.")
@click.option(
    "--to",
    "form",
    type=click.Choice(["jsonl", "parquet"]),
    default="jsonl",
    show_default=True,
    help="TABLE: the file's format.",
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    help="Folder to write into; of a RECIPE exports/<name> where it is left out.",
)
@click.option("--tag", metavar="NAME", help="TABLE: the rows as `synthkit tag` named them, not the newest.")
def export_command(
    run: str, table: str | None, only_plan: bool, form: Literal["jsonl", "parquet"], out: Path | None, tag: str | None
) -> None:
    """Write a corpus by RECIPE, or TABLE of RUN.

    A RECIPE is a YAML file of sources and shares; what it writes is what a trainer reads (docs/training.md). TABLE
    of RUN is written as JSONL or Parquet, with a dataset card that names sources and licences.
    """
    from synthkit.train.load import is_recipe

    if is_recipe(Path(run)):
        if table is not None or tag is not None:
            raise click.UsageError(f"{run} is a recipe: it names its tables and tags itself")
        _recipe(Path(run), out, only_plan)
        return
    if table is None or only_plan:
        raise click.UsageError("name the table of a run, or give a recipe (a .yaml file)")
    if out is None:
        raise click.UsageError("say where to write: --out FOLDER")
    from synthkit.inspect.export import export

    opened = api.open(run)
    done = export(opened, table, form, out, tag=tag)
    click.echo(f"{done.path}: {done.rows:,} {'row' if done.rows == 1 else 'rows'}; about them: {done.card}")
    if table not in opened.store.published_names():
        click.echo(f"{table!r} is a step of the run, not a table that it publishes", err=True)


def _recipe(path: Path, out: Path | None, only_plan: bool) -> None:
    from synthkit.cli.export_text import plan_text, result_text
    from synthkit.train.distinct import as_known
    from synthkit.train.estimate import estimate
    from synthkit.train.export import export
    from synthkit.train.prepare import prepare

    prepared = prepare(path)
    folder = out or Path("exports") / prepared.recipe.name
    if only_plan:
        known = as_known(prepared, folder)
        click.echo(plan_text(known, estimate(known, folder)))
        return
    began = time.monotonic()
    manifest = export(prepared, folder, lambda line: click.echo(line, err=True))
    click.echo(result_text(manifest, folder, time.monotonic() - began))
    click.echo(f"\nbefore a launch:  {program()} preflight {path} --gpus N")


@click.command("trace")
@click.argument("export", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@click.argument("document")
@click.option("--no-row", is_flag=True, help="Leave the row itself out.")
def trace_command(export: Path, document: str, no_row: bool) -> None:
    """Say where DOCUMENT of the export DIR came from: row, run, spec hash, Lance version, and the row.

    DOCUMENT is a sequence of a .bin/.idx pair (plans_train:17), a token in it (plans_train:17:1234), a row of packed
    Parquet (train:17), a document of a source (plans:5), or a row's id or file:line.
    """
    from synthkit.train.trace import row_of, text, trace

    found = trace(export, document)
    click.echo("\n\n".join(text(each, None if no_row else row_of(each), shown=not no_row) for each in found))


@click.command("preflight")
@click.argument("recipe", type=click.Path(dir_okay=False, exists=True, path_type=Path))
@click.option("--gpus", type=click.IntRange(1), help="GPUs of the whole launch.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), help="The export; default exports/<name>.")
def preflight_command(recipe: Path, gpus: int | None, out: Path | None) -> None:
    """Find what would waste a cluster's day: files, tokenizer, blend, iterations, parallel sizes, checkpoint.

    Exit code 1 where a launch should not go ahead.
    """
    from synthkit.train.preflight import preflight, summary

    found = preflight(recipe, out, gpus)
    for each in found:
        click.echo(f"{'problem' if each.serious else 'warning'}: {each.message}")
        if each.help:
            click.echo(f"  help: {each.help}")
    if any(each.serious for each in found):
        sys.exit(1)
    click.echo(f"ready: {summary(recipe, out)}")
