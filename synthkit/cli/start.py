"""`init` and `new`: folders and files to begin with."""

from __future__ import annotations

from pathlib import Path

import click


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init_command(folder: Path) -> None:
    """Lay out FOLDER with copies of the shipped specs, prompts, toolsets and documents; keeps files that are there."""
    from synthkit.inspect.scaffold import lay_out

    written, kept = lay_out(folder)
    click.echo(f"{folder}: {len(written)} files written" + (f", {len(kept)} kept as they were" if kept else ""))
    click.echo(f"next: cd {folder} && synthkit plan specs/fas_planning.yaml")


@click.command("new")
@click.argument("name")
@click.option("--python", "python", is_flag=True, help="A Python package instead of YAML and a prompt.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where to write it.")
def new_command(name: str, python: bool, out: Path) -> None:
    """Begin a new action type called NAME: `actions/NAME.yaml` with its prompt, or an installable package."""
    from synthkit.inspect.scaffold import new_composite, new_package

    for path in (new_package if python else new_composite)(name, out):
        click.echo(f"wrote {path}")
