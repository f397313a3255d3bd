"""Whether there are enough tokens for the shares, and how often each source is seen."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from synthkit.core.errors import SpecError
from synthkit.train.recipe import Recipe


def epochs(recipe: Recipe, available: Mapping[str, int], aside: Callable[[str], Mapping[str, int]]) -> dict[str, float]:
    """How often each source's documents are seen; SpecError where that is more than its `repeat`.

    `aside` tells of a source without tokens why its documents are in no pack.
    """
    found: dict[str, float] = {}
    problems = []
    for name, keys in recipe.keys.sources.items():
        wanted, there = recipe.wanted(name), available[name]
        if not there:
            problems.append(
                recipe.site.problem(
                    f"source {name!r} has no tokens to train on", "sources", name, key=True,
                    help="; ".join(f"{count:,} {why}" for why, count in sorted(aside(name).items())) or "it is empty",
                )
            )  # fmt: skip
            continue
        found[name] = wanted / there
        if found[name] > keys.repeat:
            problems.append(
                recipe.site.problem(
                    f"source {name!r}: {amount(there)} tokens available, {amount(wanted)} wanted = "
                    f"{_times(found[name])} epochs, and repeat allows {keys.repeat:g}",
                    "sources", name, "share" if recipe.document.get(("sources", name, "share")) is not None else "",
                    help=_remedy(recipe, name, there),
                )
            )  # fmt: skip
    if problems:
        raise SpecError(problems)
    return found


def _remedy(recipe: Recipe, name: str, there: int) -> str:
    keys = recipe.keys.sources[name]
    most = there * keys.repeat
    share = 100 * most / recipe.keys.budget
    budget = most / keys.share
    return f"share {share:.3g}% at most, or a budget of {amount(round(budget))}, or more rows"


def _times(epochs: float) -> str:
    return f"{epochs:.0f}" if epochs >= 10 else f"{epochs:.3g}"


def amount(tokens: float) -> str:
    """A count as recipes write it: `1.3B`."""
    for unit, size in (("T", 1e12), ("B", 1e9), ("M", 1e6), ("K", 1e3)):
        if tokens >= 0.9995 * size:  # which three digits write as 1
            return f"{tokens / size:.3g}{unit}"
    return f"{tokens:.0f}"
