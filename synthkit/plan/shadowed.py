"""Files that have the name of one that is read and were found later: those whose being passed over may surprise.

A project's own file before a shipped or installed one is what the order of the search is for, so nothing is said of it;
`synthkit init` lays out copies of every shipped file. What is told: two of one's own files of one name (beside the
spec and in `prompts/`, or on `--path`), and two packages that bring the same name.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from synthkit.plan.graph import Node
from synthkit.plan.scope import World
from synthkit.spec.search import Kind, Search


def shadowed(world: World, nodes: Mapping[str, Node]) -> Iterator[Path]:
    """Templates, toolsets, models files and specs."""
    search, document = world.loaded.search, world.loaded.document
    for name in dict.fromkeys(name for node in nodes.values() for name in node.prompts):
        prompt = world.prompts.get(name)
        yield from _surprising(search, "prompts", name, [Path(prompt.path), *prompt.shadowed])
    named: list[tuple[Kind, object]] = [("toolsets", document.get(("toolset",)))]
    if world.loaded.models_given is None:
        named.append(("specs", document.get(("models",))))
    named += [("specs", getattr(nodes[name].action, "spec", None)) for name in world.subspecs]
    for kind, file in named:
        if isinstance(file, str):
            yield from _surprising(search, kind, file, search.find_all(kind, file))


def _surprising(search: Search, kind: Kind, name: str, paths: Sequence[Path]) -> Iterator[Path]:
    """All but the first, which is read, where that one is not the user's own or they are; each file once."""
    own = {(folder / each).resolve() for folder in search.own(kind) for each in (name, name.removeprefix(f"{kind}/"))}
    met = {path.resolve() for path in paths[:1]}
    chosen = met & own
    for path in paths[1:]:
        if path.resolve() not in met and (not chosen or path.resolve() in own):
            yield path
        met.add(path.resolve())
