"""An action's source code as part of its fingerprint: its module, its base classes' and the files beside them.

Behaviour lives in code, so an edited action recomputes its step (from the journal, without a model call). Followed
are imports of modules in the same package or folder; the rest of synthkit counts through `SEMANTICS`, a number that
is raised by hand, because hashing all of it would recompute every run at every release. About 0.5 ms a module, once.
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from synthkit.core.ids import Id, digest


@dataclass(frozen=True, slots=True)
class Source:
    """The code behind an action class."""

    digest: Id
    counts_tokens: bool
    """It mentions `count_tokens`, so its rows depend on the tokenizer."""
    draws: bool
    """It mentions `.rng(`, so its rows depend on the spec's seed."""


@cache
def source(action: type[Any]) -> Source:
    """The code of an action class: every file of its own, by relative name, whatever folder it is installed in."""
    texts: dict[str, str] = {}
    for each in action.__mro__:
        if each.__module__.startswith(_NOT_OURS):
            continue
        path = _file(each.__module__)
        if path is None:
            texts[each.__qualname__] = _text_of(each)
        else:
            package = _root(each.__module__)
            below = _package(each.__module__).removeprefix(package).strip(".")
            folder = path.parents[len(below.split(".")) if below else 0]
            _follow(path, folder, package, texts)
    text = "\n".join(texts.values())
    return Source(digest(texts), counts_tokens="count_tokens" in text, draws=".rng(" in text)


_NOT_OURS = ("synthkit.core.", "synthkit.plan.", "pydantic", "builtins", "typing", "abc")
"""Modules of base classes that `SEMANTICS` or a version number stands for."""


def _file(module: str) -> Path | None:
    """The file a loaded module came from."""
    name = getattr(sys.modules.get(module), "__file__", None)
    return Path(name) if name and Path(name).suffix == ".py" and Path(name).is_file() else None


def _package(module: str) -> str:
    """The package a loaded module belongs to; empty for a loose file."""
    return getattr(sys.modules.get(module), "__package__", None) or ""


def _root(module: str) -> str:
    """The package whose files count: all of a plugin's own, of synthkit only the sub-package."""
    package = _package(module)
    return package if package.startswith("synthkit") else package.split(".")[0]


def _text_of(owner: type) -> str:
    """Source of a class that has no file (a notebook, a REPL); its name where even that is unknown."""
    try:
        return inspect.getsource(owner)
    except (OSError, TypeError):
        return owner.__qualname__


def _follow(path: Path, folder: Path, package: str, texts: dict[str, str]) -> None:
    """Add a file and the files below `folder` that it imports."""
    place = path.relative_to(folder)
    if place.as_posix() in texts:
        return
    text = texts[place.as_posix()] = path.read_text(encoding="utf-8")
    for module in _imports(text, package, place.parent.parts):
        local = folder.joinpath(*module)
        for found in (local.with_suffix(".py"), local / "__init__.py"):
            if module and found.is_file():
                _follow(found, folder, package, texts)


_IMPORT = re.compile(
    r"^[ \t]*(?:from[ \t]+(\.*)([\w.]*)[ \t]+import[ \t]+(\([^)]*\)|[^\n#]+)|import[ \t]+([^\n#]+))", re.M
)
"""An import statement; a line of prose that looks like one names no file and does no harm."""


def _imports(text: str, package: str, here: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    """Modules that a file imports, as parts of their path below the root folder."""
    root = tuple(package.split(".")) if package else ()
    for dots, module, names, plain in _IMPORT.findall(text):
        if plain:
            found = [tuple(name.split()[0].split(".")) for name in plain.split(",") if name.split()]
        else:
            base = tuple(module.split(".")) if module else ()
            if dots:
                base = (*root, *here)[: len(root) + len(here) - len(dots) + 1] + base
            found = [base, *((*base, name.split()[0]) for name in names.strip("()").split(",") if name.split())]
        for parts in found:
            if parts[: len(root)] == root:
                yield parts[len(root) :]
