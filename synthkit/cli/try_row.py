"""`try`."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from synthkit import api
from synthkit.cli.options import spec_options


@click.command("try")
@spec_options
@click.argument("step")
@click.option("--row", metavar="ID", help="Id of the input row, or its beginning; default the first by id.")
@click.option("--out", type=click.Path(file_okay=False), help="Run directory; default runs/<spec name>.")
def try_command(
    spec: str,
    step: str,
    models: str | None,
    sets: Mapping[str, str],
    path: Sequence[str],
    row: str | None,
    out: str | None,
) -> None:
    """Show one row of SPEC at STEP: rendered prompt, raw reply, parsed value. Asks anew and writes nothing."""
    from synthkit.core.types import Vector
    from synthkit.core.types.model import bare
    from synthkit.core.vector import from_text
    from synthkit.inspect.tables import numbers_told

    graph = api.check(spec, models=models, sets=sets, path=path)
    for engine in dict.fromkeys(graph.roles[role].engine for role in graph.resolve(step).roles):
        if graph.engines[engine].kind == "vllm":
            click.echo(f"loading {engine} ...", err=True)
    trial = api.try_row(graph, step, row=row, out=out)
    _section(f"row {trial.row} at {trial.visit.runtime.name}", _text(dict(trial.data)))
    for request, completion in trial.calls:
        for message in request.messages:
            _section(f"{request.model}: {message.role}", message.content)
        for index, sample in enumerate(completion.samples):
            if request.embed:
                _section(f"{request.model}: vector", numbers_told(from_text(sample.text)))
                continue
            _section(f"{request.model}: reply {index} ({sample.finish})", sample.text)
            if sample.label_logprobs:
                _section("log-probabilities of the labels", _text(dict(sample.label_logprobs)))
    for reject in trial.visit.rejects:
        where = "row" if reject.sample is None else f"sample {reject.sample}"
        _section(f"{where} {reject.outcome}: {reject.reason}", _text(dict(reject.detail)) if reject.detail else "")
    for child, columns in trial.changed:
        vectors = trial.visit.runtime.node.adds
        told = {
            name: numbers_told(value) if name in vectors and isinstance(bare(vectors[name]), Vector) else value
            for name, value in columns.items()
        }
        _section(f"gives row {child}", _text(told))


def _section(title: str, text: str) -> None:
    click.secho(f"--- {title}", bold=True)
    if text:
        click.echo(text)


def _text(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False)
