"""What a run directory already holds, and what a call may not do to it in passing.

A run is brought to what the call says, so that an edited spec redoes what it changed. Two calls would undo work that
nobody asked to be undone, and are refused before anything is asked of a model: a pilot in the directory of a whole run,
and a spec that is read without the options its run was given (`--set vars.want=200`, `--models real.yaml`).
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthkit.core.errors import StoreError
from synthkit.core.store import Store
from synthkit.inspect.run import open as open_run
from synthkit.plan.graph import Graph
from synthkit.spec.document import shown


def refuse_pilot(store: Store, limit: int) -> None:
    """A pilot keeps the first rows of each source; in the directory of a whole run it would take out all others."""
    if store.state.get("steps") and store.state.get("limit", limit) is None:
        raise StoreError(
            f"{store.path} was begun without --limit, and --limit {limit} would take its other rows out: "
            "run the pilot elsewhere, with --out DIRECTORY/NAME (specs that it reads run beside it)"
        )


def refuse_other_options(graph: Graph, target: Path, given: Mapping[str, Any]) -> None:
    """What `graph` reads, directly or below, must not have been run by hand with options that this call lacks."""
    for node, sub in graph.subspecs.items():
        below = target.parent / sub.name
        if (store := _standing(below)) is not None:
            _refuse_other_options(sub, store, f"{graph.name}/{node}", given)
        refuse_other_options(sub, below, given)


def is_whole(target: Path, graph: Graph) -> bool:
    """Whether a run of this very graph is complete: a pilot of what reads it then takes it as it is."""
    store = _standing(target)
    if store is None or not store.state.get("complete") or store.state.get("limit") is not None:
        return False
    return _same_steps(store, graph)


def _standing(target: Path) -> Store | None:
    """The run of a directory; None where there is none."""
    return open_run(target).store if (target / "run.json").exists() else None


def _same_steps(store: Store, graph: Graph) -> bool:
    now = {layout.name: layout.fingerprint for layout in graph.layouts()}
    return {name: layout.fingerprint for name, layout in store.layouts.items()} == now


def _refuse_other_options(graph: Graph, store: Store, reader: str, given: Mapping[str, Any]) -> None:
    before = store.state.get("given", {})
    if store.state.get("read_by") is not None or not store.state.get("steps"):
        return
    same = _same_steps(store, graph)
    lost, ways = [], []
    if before.get("models") and not given.get("models") and not same:
        lost.append(f"--models {before['models']}")
        ways.append("--models here too")
    unlike: dict[str, Any] = {}
    for key, value in before.get("sets", {}).items():
        group, _, name = key.partition(".")
        name = name.partition(".")[0]
        if group != "vars":
            kept = same
        else:
            was = store.state["vars"].get(name)
            kept = graph.vars.get(name) == was
            unlike |= {} if kept else {name: was}
        lost += [] if kept else [f"--set {shlex.quote(f'{key}={value}')}"]
    if not lost:
        return
    if unlike:
        ways.append(f"`with: {json.dumps(unlike, ensure_ascii=False)}` there (`--set steps.STEP.read.with.NAME=VALUE`)")
    ways.append(f"`run: {graph.name}` in place of `spec:`, which takes it as it stands")
    ways.append("a run of its own to this, with --out DIRECTORY/NAME")
    raise StoreError(
        f"{store.path} was run with {' '.join(lost)}, and {reader} reads it without: that would redo or take out its "
        f"rows. Give {', or '.join(ways)}; or run {shown(graph.spec_path)} again without it, if it is no longer wanted"
    )
