"""Every run directory has one owner: a spec file with one set of variables.

A spec that is read runs in `runs/<its name>`, whoever reads it. Were two wanted there, each run would undo the other's
work, so that is an error of the plan. A name may hold a variable, which gives each its own directory.
"""

from __future__ import annotations

from collections.abc import Iterator

from synthkit.plan.bind import Binder
from synthkit.plan.graph import Graph
from synthkit.spec.document import shown


def runs_apart(binder: Binder) -> None:
    """Report specs that would share a run directory, where they are read, directly or below another."""
    loaded = binder.world.loaded
    owners = {loaded.spec.name: (loaded.path, loaded.spec.vars, "this spec itself")}
    for node, top in binder.world.subspecs.items():
        for graph in _with_below(top):
            path, given, owner = owners.setdefault(graph.name, (graph.spec_path, graph.vars, repr(node)))
            scope = binder.scopes[node]
            if path.resolve() != graph.spec_path.resolve():
                said = f"the run {graph.name!r} would be of {shown(graph.spec_path)} and, for {owner}, {shown(path)}"
                scope.problem(said, ("spec",), f"give one of the two another `name:` than {graph.name!r}")
            elif given != graph.vars:
                unlike = [name for name in graph.vars if graph.vars[name] != given[name]]
                theirs, ours = (", ".join(f"{name} {each[name]!r}" for name in unlike) for each in (given, graph.vars))
                said = f"{shown(path)} is read with {ours} here and {theirs} by {owner}: both in the run {graph.name!r}"
                apart = f'name: "{graph.name}-${{vars.{unlike[0]}}}" in {shown(path)}'
                todo = f"write the same `with:` in both, or let each have a run of its own by {apart}"
                scope.problem(said, ("with",) if graph is top else ("spec",), todo)


def _with_below(graph: Graph) -> Iterator[Graph]:
    """A graph and all those it reads."""
    yield graph
    for each in graph.subspecs.values():
        yield from _with_below(each)
