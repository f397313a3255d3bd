"""`init` and `new`: folders and files to begin with."""

from __future__ import annotations

from pathlib import Path

import click

from synthkit import api


@click.command("init")
@click.argument("folder", type=click.Path(file_okay=False, path_type=Path), default=".")
def init_command(folder: Path) -> None:
    """Lay out FOLDER with copies of the shipped specs, prompts, toolsets, recipes and documents.

    Files that are there stay as they are.
    """
    from synthkit.inspect.scaffold import lay_out

    written, kept = lay_out(folder)
    click.echo(f"{folder}: {len(written)} files written" + (f", {len(kept)} kept as they were" if kept else ""))
    click.echo("  specs/ prompts/ toolsets/   yours to edit; they go before the ones that ship with synthkit")
    click.echo("  recipes/                    corpora for a trainer: synthkit export recipes/nano.yaml --plan")
    click.echo("  data/documents/             read with --set 'vars.documents=data/documents/*.jsonl'")
    where = "" if folder == Path() else f"cd {folder} && "
    click.echo(f"next: {where}synthkit plan specs/fas_planning.yaml, then synthkit run specs/fas_planning.yaml")


@click.command("new")
@click.argument("name")
@click.option("--python", "python", is_flag=True, help="A Python package instead of YAML and a prompt.")
@click.option("--toolset-from", "run", metavar="RUN", help="A toolset of the tools that RUN's trajectories call.")
@click.option("--table", help="With --toolset-from: the table of trajectories; default the first that has any.")
@click.option("--out", type=click.Path(file_okay=False, path_type=Path), default=".", help="Where to write it.")
def new_command(name: str, python: bool, run: str | None, table: str | None, out: Path) -> None:
    """Begin a new action type called NAME: `actions/NAME.yaml` with its prompt, or an installable package.

    With --toolset-from, `toolsets/NAME.yaml` in its place, from the calls of a run that has `as_trajectory`.
    """
    from synthkit.inspect.scaffold import new_composite, new_package

    if run is not None:
        if python:
            raise click.UsageError("--python and --toolset-from exclude each other")
        from synthkit.inspect.derived import new_toolset

        click.echo(f"wrote {new_toolset(name, api.open(run), out, table)}")
        return
    if table is not None:
        raise click.UsageError("--table goes with --toolset-from")
    written = (new_package if python else new_composite)(name, out)
    for path in written:
        click.echo(f"wrote {path}")
    if python:
        click.echo(f"next: python -m pip install -e {written[0].parent}, then `{name}:` is a verb")
    else:
        click.echo(f"next: in {out}, `{name}:` is a verb; synthkit actions {name} shows it")
