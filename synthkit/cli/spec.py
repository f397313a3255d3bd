"""`check`, `plan`, `actions` and `schema`: what can be said before anything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from synthkit import api
from synthkit.cli.options import spec_options


@click.command("check")
@spec_options
def check_command(spec: str, models: str | None, sets: Mapping[str, str], path: Sequence[str]) -> None:
    """Say everything that is wrong with SPEC; loads no model and writes nothing."""
    graph = api.check(spec, models=models, sets=sets, path=path)
    counts = (_counted(len(graph.nodes), "step"), _counted(len(graph.publish), "published table"))
    click.echo(f"{spec}: {', '.join(counts)}, nothing wrong")


@click.command("plan")
@spec_options
@click.option("--out", type=click.Path(file_okay=False), help="Run directory; default runs/<spec name>.")
def plan_command(spec: str, models: str | None, sets: Mapping[str, str], path: Sequence[str], out: str | None) -> None:
    """Show what a run of SPEC would do, and what its run directory already holds."""
    click.echo(api.plan(spec, models=models, sets=sets, path=path, out=out))


@click.command("actions")
@click.argument("verb", required=False)
def actions_command(verb: str | None) -> None:
    """List the verbs, or say all about VERB."""
    from synthkit.spec.reference import describe_verb, list_verbs

    click.echo(describe_verb(verb) if verb else list_verbs())


@click.command("schema")
@click.option("--recipe", is_flag=True, help="Of the recipes that `export` takes instead.")
def schema_command(recipe: bool) -> None:
    """Print the JSON Schema of specs, for editors and for CI."""
    if recipe:
        from synthkit.train.schema import recipe_schema as schema
    else:
        from synthkit.spec.schema import spec_schema as schema

    click.echo(json.dumps(schema(), indent=2, ensure_ascii=False))


def _counted(count: int, what: str) -> str:
    return f"{count} {what}" + ("" if count == 1 else "s")
