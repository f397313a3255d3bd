"""Figures of a run that `audit:` can bound: what each is called, and which steps have it.

A figure is `step.figure`: one of the ledger's shares, or the mean of a number the step's rows carry
(`text.tokens`, `aligned.aligned.logic`). The names stand here so that a misspelt bound is found before the run.
"""

from __future__ import annotations

from collections.abc import Mapping

from synthkit.core.types import Bool, Float, Int, ListOf, Object, Ref, Type
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
    "tools_per_question": "mean number of different tools that the rows of one question call",
    "plans_alike": "mean share of word pairs that the calls of two rows of one question have in common",
    "position_p": "p that the place of the `chosen` option among `options` was drawn evenly (chi-square)",
    "length_auc": "how often a classifier of length and style prefers the `chosen` option to another; 0.5 is chance",
    "collapsed": "share of rows whose `options` are nearly the same (`variety` below 0.2)",
    "length_bias": "how far a judge's p, or a pick of one of a list, follows length, beyond chance (0..1)",
    "position_bias": "how far a pick of one of a list, or of a pair, follows its place, beyond chance (0..1)",
    "valid_calls": "share of the calls in `call` or `steps` that fit the toolset",
    "names_entity": "share of tool calls that name one of the row's `entities`",
    "answer_leak": "share of rows whose `question` or `call` says the `answer`",
    "longest": "most `tokens` of a row",
}
"""Name -> what it is."""

NEEDS: Mapping[str, frozenset[str]] = {
    **dict.fromkeys(("query_overlap", "tools_per_question", "plans_alike"), frozenset({"call", "question"})),
    **dict.fromkeys(("position_p", "length_auc"), frozenset({"options", "chosen"})),
    "collapsed": frozenset({"options", "variety"}),
}
"""Columns that a figure is computed from."""

ALSO: Mapping[str, frozenset[str]] = {
    "names_entity": frozenset({"call", "entities"}),
    "answer_leak": frozenset({"question", "answer"}),
    "longest": frozenset({"tokens"}),
}
"""The same of figures that are computed from the run."""


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


def picks_a_place(columns: Mapping[str, Type]) -> bool:
    """Whether `chosen` is the number of one of `options`."""
    if not columns.keys() >= {"options", "chosen"}:
        return False
    return isinstance(bare(columns["options"]), ListOf) and isinstance(bare(columns["chosen"]), Ref | Int)


def decides(columns: Mapping[str, Type]) -> bool:
    """Whether they are decisions: calls in `options`, and in `chosen` the number of one of them."""
    options = bare(columns["options"]) if picks_a_place(columns) else None
    each = bare(options.of) if isinstance(options, ListOf) else None
    return isinstance(each, Object) and each.fields.keys() >= {"thought", "call"}


def figures_of(columns: Mapping[str, Type], adds: Mapping[str, Type], verb: str) -> list[str]:
    """Every figure of a step of these columns, of which it adds some."""
    needs = {**NEEDS, **ALSO}
    named = [name for name in FIGURES if needs.get(name, frozenset()) <= columns.keys()]
    judges, picks = verb == "judge", any(isinstance(bare(of), Ref) for of in adds.values())
    lacking = set() if judges or picks else {"length_bias", "position_bias"}
    if not columns.keys() & {"call", "steps"}:
        lacking.add("valid_calls")
    if not picks_a_place(columns):
        lacking.add("position_p")
    if not decides(columns):
        lacking.add("length_auc")
    return [*(name for name in named if name not in lacking), *measures(columns)]
