"""Options that several commands share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

F = TypeVar("F", bound=Callable[..., Any])


def spec_options(command: F) -> F:
    """`SPEC --models FILE --set a.b=value --path DIR`, as keyword arguments `spec models sets path`."""
    for decorate in (
        click.option("--path", multiple=True, type=click.Path(file_okay=False), help="Look up files here too."),
        click.option("--set", "sets", multiple=True, metavar="A.B=VALUE", callback=_sets, help="Override a value."),
        click.option("--models", type=click.Path(dir_okay=False), help="Use these engines and models instead."),
        click.argument("spec", type=click.Path(dir_okay=False)),
    ):
        command = decorate(command)
    return command


def run_argument(command: F) -> F:
    """`RUN`: a run directory."""
    return click.argument("run", type=click.Path(file_okay=False))(command)


def _sets(ctx: click.Context, param: click.Parameter, values: Sequence[str]) -> dict[str, str]:
    """`a.b=value` pairs; the value may hold further `=`."""
    pairs: dict[str, str] = {}
    for value in values:
        name, equals, given = value.partition("=")
        if not equals or not name.strip():
            raise click.BadParameter(f"{value!r} is not NAME=VALUE, e.g. --set vars.k=8")
        pairs[name.strip()] = given
    return pairs
