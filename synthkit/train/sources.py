"""Opens the sources of a recipe; every one that is not there is a problem at its line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from synthkit.core.errors import Problem, SpecError, StoreError
from synthkit.core.names import nearest
from synthkit.train.batch import Missing, Source
from synthkit.train.checks import spoken
from synthkit.train.file_source import FileSource
from synthkit.train.recipe import Recipe
from synthkit.train.table_source import TableSource


def open_sources(recipe: Recipe) -> dict[str, Source]:
    """Every source, opened; SpecError with all that are not there."""
    found: dict[str, Source] = {}
    problems: list[Problem] = []
    for name, keys in recipe.keys.sources.items():
        site = recipe.site.at("sources", name)
        try:
            source: Source = FileSource(name, keys, recipe.keys.seed) if keys.run is None else TableSource(name, keys)
            found[name] = source
        except Missing as error:
            problems.append(site.problem(str(error), error.key, help=error.hint))
        except (SpecError, StoreError) as error:
            first = error.problems[0] if isinstance(error, SpecError) else Problem(str(error))
            problems.append(site.problem(first.message, "run" if keys.run is not None else "path", help=first.help))
    if not problems and recipe.masked:
        problems.extend(_roles(found, recipe))
    if problems:
        raise SpecError(problems)
    return found


def _roles(sources: Mapping[str, Source], recipe: Recipe) -> Iterator[Problem]:
    """Roles of `loss` that no document has; a misspelt one would leave everything as it is."""
    known = spoken(sources, recipe.keys.loss.keys() - {"all"})
    for role in recipe.keys.loss:
        if role != "all" and role not in known:
            hint = nearest(role, sorted(known), "roles of the sources")
            yield recipe.site.problem(f"no document has the role {role!r}", "loss", role, key=True, help=hint)
