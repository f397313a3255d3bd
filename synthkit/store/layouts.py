"""Step layouts as `run.json` keeps them, and which columns are visible where.

Types are printed in the `out:` language, so that a run can be read without the spec that made it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from synthkit.core.errors import StoreError, SynthkitError
from synthkit.core.part import Part
from synthkit.core.store import StepLayout
from synthkit.core.types import Type, parse_type
from synthkit.store.manifest import damaged


def dump(layout: StepLayout) -> dict[str, Any]:
    """A layout as JSON."""
    return {
        "name": layout.name,
        "fingerprint": layout.fingerprint,
        "adds": {name: str(declared) for name, declared in layout.adds.items()},
        "parents": list(layout.parents),
        "carries": layout.carries,
        "keeps_id": layout.keeps_id,
        "union": layout.union,
        "hidden": sorted(layout.hidden),
        "parts": {name: [part.of, part.at, part.take] for name, part in layout.parts.items()},
    }


def load(content: Mapping[str, Any]) -> StepLayout:
    """The layout that `dump` printed."""
    return StepLayout(
        name=content["name"],
        fingerprint=content["fingerprint"],
        adds={name: parse_type(declared) for name, declared in content["adds"].items()},
        parents=tuple(content["parents"]),
        carries=content["carries"],
        keeps_id=content["keeps_id"],
        union=content["union"],
        hidden=frozenset(content["hidden"]),
        parts={name: Part(*part) for name, part in content.get("parts", {}).items()},
    )


def load_all(path: Path, state: Mapping[str, Any]) -> dict[str, StepLayout]:
    """The layouts that a `run.json` keeps; StoreError where they are not what `dump` printed."""
    try:
        return {each["name"]: load(each) for each in state["layouts"]}
    except (LookupError, TypeError, ValueError, AttributeError, SynthkitError) as error:
        raise damaged(path, f"its layouts are not readable ({type(error).__name__}: {error})") from error


def visible(layouts: Mapping[str, StepLayout], step: str) -> dict[str, Type]:
    """The columns that can be read at a step: its ancestors' first, in the order they came, then its own."""
    layout = find(layouts, step)
    columns: dict[str, Type] = {}
    if layout.carries:
        for parent in layout.parents if layout.union else layout.parents[:1]:
            for name, declared in visible(layouts, parent).items():
                columns.setdefault(name, declared)
    columns |= layout.adds
    columns |= {name: part.type(columns) for name, part in layout.parts.items()}
    return {name: declared for name, declared in columns.items() if name not in layout.hidden}


def find(layouts: Mapping[str, StepLayout], step: str) -> StepLayout:
    """The layout of a step; StoreError says which steps there are."""
    try:
        return layouts[step]
    except KeyError:
        raise StoreError(f"the run has no step {step!r}; it has {', '.join(layouts) or 'none'}") from None
