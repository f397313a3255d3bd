"""Finds the files that ship with synthkit: `_data/` inside a wheel, the repository's folders in a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

Kind = Literal["specs", "prompts", "toolsets", "recipes", "nano", "documents", "trajectories"]

_PACKAGE = Path(__file__).resolve().parents[1]
_IN_CHECKOUT: dict[str, str] = {
    "nano": "examples/nano/model",
    "documents": "examples/documents",
    "trajectories": "examples/trajectories",
}


def shipped(kind: Kind) -> Path:
    """The folder of shipped specs, prompts, toolsets, recipes, documents or trajectories, or of the model `nano`."""
    packed = _PACKAGE / "_data" / kind
    if packed.is_dir():
        return packed
    return _PACKAGE.parent / _IN_CHECKOUT.get(kind, kind)
