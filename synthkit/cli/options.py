"""Options that several commands share, and how to type a command again."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import click

from synthkit.core.errors import SpecError
from synthkit.core.names import nearest

F = TypeVar("F", bound=Callable[..., Any])


def spec_options(command: F) -> F:
    """`SPEC --models FILE --set a.b=value --path DIR`, as keyword arguments `spec models sets path`."""
    for decorate in (
        click.option(
            "--path",
            multiple=True,
            type=click.Path(file_okay=False),
            help="Look up prompts, toolsets and specs here too.",
        ),
        click.option(
            "--set",
            "sets",
            multiple=True,
            metavar="A.B=VALUE",
            callback=_sets,
            help="Override a value, e.g. vars.k=8; as often as you like.",
        ),
        click.option(
            "--models", type=click.Path(), metavar="FILE", help="A models file to use in place of the spec's."
        ),
        click.argument("spec", type=click.Path(), callback=_spec),
    ):
        command = decorate(command)
    return command


def program() -> str:
    """What to type for this program: `synthkit` where that finds it, else the way it was called."""
    called = Path(sys.argv[0])
    if called.name == "__main__.py":
        return "python -m synthkit"
    found = shutil.which(called.name)
    is_it = found is not None and Path(found).absolute() == called.absolute()
    return called.name if is_it or called.parent == Path() else str(called)


def run_argument(command: F) -> F:
    """`RUN`: a run directory, such as runs/fas_planning."""
    return click.argument("run", type=click.Path(file_okay=False))(command)


def _spec(ctx: click.Context, param: click.Parameter, value: str) -> str:
    """A file that is there; else what is."""
    path = Path(value)
    if path.is_file():
        return value
    if path.is_dir():
        raise SpecError(f"{value} is a folder; {_specs(path, '')}")
    folder = path.parent
    if not folder.is_dir():
        folder = Path("specs") if Path("specs").is_dir() else Path()
    raise SpecError(f"{value}: there is no such file; {_specs(folder, path.name)}")


def _specs(folder: Path, wrong: str) -> str:
    names = sorted(each.name for each in folder.glob("*.y*ml"))
    if not names:
        return f"{folder} holds no spec; `{program()} init DIR` lays out the shipped ones"
    return nearest(wrong, names, f"files in {folder}")


def _sets(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`a.b=value` pairs; the value may hold further `=`."""
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, given = value.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE, e.g. --set vars.k=8")
        pairs[name.strip()] = given
    return pairs
