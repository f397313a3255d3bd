"""The composition root: loads a spec, binds it, opens its run and executes it.

Everything the command line does is a call of one of these functions; they print nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthkit.core import registry
from synthkit.core.errors import StoreError
from synthkit.execute.options import RunOptions
from synthkit.execute.result import RunResult
from synthkit.plan.build import build_graph
from synthkit.plan.graph import Graph
from synthkit.spec.load import load_spec

if TYPE_CHECKING:
    from synthkit.core.store import RunStore, Store
    from synthkit.execute.trial import Trial
    from synthkit.inspect.run import Run
    from synthkit.plan.state import PlanState
    from synthkit.session import Watch

__all__ = ["RunResult", "check", "open", "plan", "run", "run_async", "try_row"]


def check(
    spec: str | Path,
    *,
    models: str | Path | None = None,
    sets: Mapping[str, str] | None = None,
    path: Sequence[str | Path] = (),
) -> Graph:
    """Load and bind a spec without running it; raises SpecError with every problem.

    `models` swaps the models file, in specs it reads too; `sets` overrides values (`{"vars.k": "8"}`); `path` adds
    folders where prompts, toolsets and specs are looked up.
    """
    loaded = load_spec(
        Path(spec),
        models=Path(models) if models is not None else None,
        sets=dict(sets or {}),
        search=[Path(p) for p in path],
    )
    return build_graph(loaded)


def plan(
    spec: str | Path,
    *,
    models: str | Path | None = None,
    sets: Mapping[str, str] | None = None,
    path: Sequence[str | Path] = (),
    out: str | Path | None = None,
) -> str:
    """The printed plan: steps, columns, models, stages, and what the run directory already holds."""
    from synthkit.plan.text import render_plan

    graph = check(spec, models=models, sets=sets, path=path)
    return render_plan(graph, _plan_state(graph, _run_path(graph, out)))


def open(path: str | Path) -> Run:  # noqa: A001 - `synthkit.open(path)`
    """A finished or running run, for reading: `open("runs/x")["plans"]` is a polars LazyFrame."""
    from synthkit.inspect.run import open as open_run

    return open_run(path)


def run(
    spec: str | Path | Graph,
    *,
    models: str | Path | None = None,
    sets: Mapping[str, str] | None = None,
    path: Sequence[str | Path] = (),
    out: str | Path | None = None,
    options: RunOptions | None = None,
    watch: Watch | None = None,
) -> RunResult:
    """Bring a spec's run up to date, resuming what is there; `stopped` says why it ended early, if it did.

    `models`, `sets` and `path` are kept in run.json for `retry`; where a Graph is given they do nothing else.
    """
    from synthkit.session import drive

    graph = spec if isinstance(spec, Graph) else check(spec, models=models, sets=sets, path=path)
    return drive(run_async(graph, out=out, options=options, watch=watch, given=_given(models, sets, path)))


async def run_async(
    graph: Graph,
    *,
    out: str | Path | None = None,
    options: RunOptions | None = None,
    watch: Watch | None = None,
    given: Mapping[str, Any] | None = None,
) -> RunResult:
    """`run` inside an event loop of the caller's; `given` is what the graph was made with, for `retry`."""
    from synthkit.session import run_graph

    return await run_graph(graph, _run_path(graph, out), options or RunOptions(), watch, given or {})


def try_row(graph: Graph, step: str, *, row: str | None = None, out: str | Path | None = None) -> Trial:
    """One row at one step in full, read from the graph's run directory; asks anew and writes nothing."""
    from synthkit.execute.trial import try_row as trial
    from synthkit.session import drive

    return drive(trial(graph, _reading(graph, _run_path(graph, out), step), step, row))


def _reading(graph: Graph, target: Path, step: str) -> Store:
    store: RunStore = registry.open_store()(target, write=False)
    above = graph.resolve(step).inputs[:1]
    before = {name: layout.fingerprint for name, layout in store.layouts.items()}
    for name in sorted({each for parent in above for each in graph.ancestors(parent)}):
        if before.get(name, graph.nodes[name].fingerprint) != graph.nodes[name].fingerprint:
            raise StoreError(
                f"{target} holds rows of another {name!r} than the spec now says, and {step!r} works on what comes of "
                "it; run the spec first, or give `try` the --set and --models of that run"
            )
    store.describe(graph.layouts())
    return store


def _plan_state(graph: Graph, target: Path) -> PlanState | None:
    """What a run directory says of earlier work; None where there is no run."""
    from synthkit.plan.state import PlanState

    if not (target / "run.json").exists():
        return None
    known = open(target)
    below = {node: _plan_state(sub, target.parent / sub.name) for node, sub in graph.subspecs.items()}
    return PlanState.of(
        known.ledger(),
        fingerprints={name: layout.fingerprint for name, layout in known.steps.items()},
        usage=known.usage.to_dicts(),
        complete=bool(known.state.get("complete")) and known.state.get("limit") is None,
        tokens_per_second=known.tokens_per_second(),
        subspecs={node: state for node, state in below.items() if state is not None},
    )


def _given(models: str | Path | None, sets: Mapping[str, str] | None, path: Sequence[str | Path]) -> dict[str, Any]:
    """The arguments of `check`, as run.json keeps them."""
    return {
        "models": None if models is None else str(models),
        "sets": dict(sets or {}),
        "path": [str(each) for each in path],
    }


def _run_path(graph: Graph, out: str | Path | None) -> Path:
    return Path(out) if out is not None else Path("runs") / graph.name
