"""Figures of a run that `audit:` can bound: what each is called, and which steps have it.

A figure is `step.figure`: one of the ledger's shares, or the mean of a number the step's rows carry
(`text.tokens`, `aligned.aligned.logic`). The names stand here so that a misspelt bound is found before the run.
"""

from __future__ import annotations

from collections.abc import Mapping

from synthkit.core.types import Bool, Float, Int, Object, Type
from synthkit.core.types.model import bare

FIGURES: Mapping[str, str] = {
    "rows": "rows it gives",
    "accepted": "share of its decided input rows that are kept",
    "filtered": "share that an expression, a rubric or the action refused",
    "duplicate": "share that say the same as another row",
    "failed": "share without a usable reply",
    "unused": "share not sampled, not matched or over quota",
    "samples_accepted": "share of the samples asked for that became rows",
    "query_overlap": "mean share of the words of `call` that `question` has too",
}
"""Name -> what it is."""

NEEDS: Mapping[str, frozenset[str]] = {"query_overlap": frozenset({"call", "question"})}
"""Columns that a figure is computed from."""


def measures(columns: Mapping[str, Type]) -> list[str]:
    """Names of all numbers that rows of these columns carry, fields of objects by dots."""
    found: list[str] = []
    for name, of in columns.items():
        plain = bare(of)
        if isinstance(plain, Int | Float | Bool):
            found.append(name)
        elif isinstance(plain, Object):
            found.extend(f"{name}.{inner}" for inner in measures(plain.fields))
    return found


def figures_of(columns: Mapping[str, Type]) -> list[str]:
    """Every figure that a step of these columns has."""
    ledger = [name for name in FIGURES if NEEDS.get(name, frozenset()) <= columns.keys()]
    return [*ledger, *measures(columns)]
