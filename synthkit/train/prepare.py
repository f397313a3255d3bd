"""What an export needs beside its recipe: the tokenizer, the sources, the benchmarks; all problems at once."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from synthkit.core.errors import Problem, SpecError
from synthkit.core.ids import digest
from synthkit.train import tokenizer as tokenizers
from synthkit.train.batch import Source
from synthkit.train.chat_template import with_template
from synthkit.train.load import load_recipe
from synthkit.train.recipe import Recipe
from synthkit.train.sources import open_sources
from synthkit.train.tokenizer import TrainTokenizer

if TYPE_CHECKING:
    from synthkit.actions.benchmarks import Benchmarks
    from synthkit.train.copies import Copies


@dataclass(frozen=True)
class Prepared:
    """A recipe with everything it names."""

    recipe: Recipe
    tokenizer: TrainTokenizer
    sources: dict[str, Source]
    benchmarks: Benchmarks | None
    copies: Copies | None = None
    """What `dedup` has decided; the sources then leave these rows out."""

    @property
    def hash(self) -> str:
        """Of the recipe's content."""
        return digest(self.recipe.definition())


def prepare(path: Path) -> Prepared:
    """Load a recipe and open what it names."""
    recipe = load_recipe(path)
    problems: list[Problem] = []
    keys = recipe.keys
    tokenizer: TrainTokenizer | None = None
    sources: dict[str, Source] = {}
    found: Benchmarks | None = None
    try:
        tokenizer = tokenizers.load(keys.tokenizer, keys.eod, keys.special)
    except SpecError as error:
        problems.append(_at(recipe, error, "tokenizer"))
    if tokenizer is not None and recipe.chat:
        from synthkit.train.outputs.chat import template

        try:
            tokenizer = with_template(tokenizer, keys.template)
            template(tokenizer)
        except SpecError as error:
            problems.append(_at(recipe, error, "tokenizer" if keys.template is None else "template"))
    try:
        sources = open_sources(recipe)
    except SpecError as error:
        problems.extend(error.problems)
    if keys.decontaminate is not None:
        from synthkit.train.overlap import benchmarks

        try:
            found = benchmarks(keys.decontaminate)
        except SpecError as error:
            problems.append(_at(recipe, error, "decontaminate", "against"))
    if problems or tokenizer is None:
        raise SpecError(problems)
    return Prepared(recipe, tokenizer, sources, found)


def _at(recipe: Recipe, error: SpecError, *path: str) -> Problem:
    first = error.problems[0]
    return recipe.site.problem(first.message, *path, help=first.help)
