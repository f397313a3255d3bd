"""Writes the parts of these pages that are made of the code: `python -m docs.generate`; a test checks them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from pydantic import BaseModel

from synthkit.core.engine import Role
from synthkit.core.expr.filters import FILTERS, TESTS, Filter
from synthkit.core.registry import engines, tools
from synthkit.plan.figures import FIGURES
from synthkit.spec.reference import describe_fields, describe_verb, list_verbs
from synthkit.train.recipe import DecontaminateKeys, DedupKeys, RecipeKeys, TrainKeys

DOCS = Path(__file__).parent
_PART = re.compile(r"(<!-- generated: ([a-z-]+) -->\n).*?(<!-- end -->)", re.S)


def parts() -> dict[str, str]:
    """Name of a generated part -> its text."""
    kinds = {f"engine-{name}": _fields(engines()[name]) for name in engines()}
    kinds |= {f"tool-{name}": _fields(tools()[name]) for name in tools()}
    figures = "\n".join(f"- `{name}`: {about}" for name, about in FIGURES.items())
    return {
        "filters": _vocabulary(FILTERS),
        "tests": _vocabulary({name: test for name, test in TESTS.items() if name.isidentifier()}),
        "figures": figures + "\n",
        "verbs": _verbs(),
        "roles": _fields(Role),
        "recipe": _fields(RecipeKeys),
        "recipe-decontaminate": _fields(DecontaminateKeys),
        "recipe-dedup": _fields(DedupKeys),
        "recipe-train": _fields(TrainKeys),
        **kinds,
    }


def generated(page: str, made: Mapping[str, str]) -> str:
    """The page with its generated parts renewed."""
    return _PART.sub(lambda match: f"{match[1]}{made[match[2]]}{match[3]}", page)


def _vocabulary(words: Mapping[str, Filter]) -> str:
    return "\n".join(f"- `{name}`: {_about(each)}" for name, each in words.items()) + "\n"


def _about(word: Filter) -> str:
    """The line of documentation; a signature in it is set as code."""
    return re.sub(rf"^({re.escape(word.name)}\(.*?\)(?: or {re.escape(word.name)}\(.*?\))?)(:?)", r"`\1`\2", word.about)


def _verbs() -> str:
    names = [line.split()[0] for line in list_verbs().splitlines()]
    return "\n".join(f"## {name}\n\n{_block(_told(name))}" for name in names)


def _told(verb: str) -> Iterable[str]:
    return (line for line in describe_verb(verb).splitlines() if not line.startswith("  file: "))


def _fields(model: type[BaseModel]) -> str:
    return _block(describe_fields(model).splitlines())


def _block(lines: Iterable[str]) -> str:
    return "```text\n" + "\n".join(line.rstrip() for line in lines) + "\n```\n"


def main() -> None:
    """Renew every page."""
    made = parts()
    for path in sorted(DOCS.glob("*.md")):
        path.write_text(generated(path.read_text(encoding="utf-8"), made), encoding="utf-8")


if __name__ == "__main__":
    main()
