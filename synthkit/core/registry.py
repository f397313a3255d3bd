"""Finds actions, engines and stores by name; filled by entry points, synthkit's own included.

Names are known without importing anything, a class is imported on first use: `check` on a spec of five verbs
imports five modules. A plugin that fails to import is a clear error where its name is used, not at start.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from typing import Any, cast

from synthkit.core.errors import SynthkitError

ACTIONS = "synthkit.actions"
"""Native verbs: name -> Action class."""
COMPOSITES = "synthkit.composites"
"""Composite verbs: name -> `package:path/to/action.yaml`, kept as text."""
ENGINES = "synthkit.engines"
"""Engine kinds: name -> EngineConfig class."""
TOOLS = "synthkit.tools"
"""Tools of an agent: name -> ToolConfig class."""
STORES = "synthkit.stores"
"""Stores: name -> callable that opens a run directory."""


class RegistryError(SynthkitError):
    """A registered name that cannot be loaded."""


class Group(Mapping[str, Any]):
    """The registered objects of one entry point group, loaded when they are asked for."""

    def __init__(self, name: str) -> None:
        """`name` is the entry point group."""
        self.name = name
        self.points: dict[str, EntryPoint] = {p.name: p for p in _installed().select(group=name)}

    def __getitem__(self, key: str) -> Any:
        """Import and return the registered object; KeyError where the name is unknown."""
        point = self.points[key]
        try:
            return point.load()
        except Exception as error:
            package = point.dist.name if point.dist else point.module
            raise RegistryError(
                f"{self.name} {key!r} of package {package!r} cannot be imported: {type(error).__name__}: {error}"
            ) from error

    def __iter__(self) -> Iterator[str]:
        """Names, sorted."""
        return iter(sorted(self.points))

    def __len__(self) -> int:
        """The number of names."""
        return len(self.points)

    def __contains__(self, key: object) -> bool:
        """Whether the name is registered; imports nothing."""
        return key in self.points


@cache
def _installed() -> EntryPoints:
    """Every entry point there is: one look at all installed packages (18 ms at 180) instead of one a group."""
    return cast("EntryPoints", entry_points())  # 3.11 calls it SelectableGroups; both have `select`


@cache
def group(name: str) -> Group:
    """The entry point group of that name."""
    return Group(name)


def actions() -> Group:
    """Native verbs."""
    return group(ACTIONS)


def engines() -> Group:
    """Engine kinds."""
    return group(ENGINES)


def tools() -> Group:
    """Tools of an agent."""
    return group(TOOLS)


def open_store(name: str = "lance") -> Callable[..., Any]:
    """What opens a run directory of that kind."""
    opener: Callable[..., Any] = group(STORES)[name]
    return opener
