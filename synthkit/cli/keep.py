"""`tag` and `gc`."""

from __future__ import annotations

from pathlib import Path

import click

from synthkit.cli.options import run_argument


@click.command("tag")
@run_argument
@click.argument("name")
def tag_command(run: str, name: str) -> None:
    """Name the published tables of RUN as they are now; a tagged version is never cleaned."""
    from synthkit.inspect.tags import tag_run

    for table, version in tag_run(Path(run), name).items():
        click.echo(f"{table}: version {version} is {name!r}")


@click.command("gc")
@run_argument
@click.option("--dry-run", is_flag=True, help="Say what would go, and stop.")
def gc_command(run: str, dry_run: bool) -> None:
    """Remove old table versions and orphan files of RUN that no tag and no step needs."""
    from synthkit.inspect.gc import collect_garbage

    freed = collect_garbage(Path(run), dry_run=dry_run)
    click.echo(f"{freed:,} bytes {'could be' if dry_run else 'were'} freed")
