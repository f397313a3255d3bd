"""What a verb means: a local action, a composite file, or a class from the registry.

Local actions need no packaging: `actions/<verb>.yaml` or any class in `actions/*.py`, beside the spec or in the
working directory. A local composite goes before an installed one of the same name (a copy to edit); nothing may take
the name of a native verb. Python files are only imported when a verb is not found otherwise.
"""

from __future__ import annotations

import re
import sys
import traceback
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from types import ModuleType

from synthkit.core import registry
from synthkit.core.action import Action
from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.registry import RegistryError
from synthkit.spec.document import shown
from synthkit.spec.model import IDENTIFIER

FOLDER = "actions"


@dataclass
class Verbs:
    """Looks verbs up for one spec; `beside` are the folders whose `actions/` count."""

    beside: Sequence[Path]
    classes: dict[str, type[Action]] = field(default_factory=dict)
    """Local Python verbs, once they were looked for."""
    problems: list[Problem] = field(default_factory=list)
    """Local Python files that cannot be loaded."""
    searched: bool = False

    def folders(self) -> list[Path]:
        """The `actions/` folders there are."""
        found = dict.fromkeys((each / FOLDER).absolute() for each in self.beside)
        return [each for each in found if each.is_dir()]

    def exists(self, verb: str) -> bool:
        """Whether the name means anything."""
        return verb in registry.actions() or self.composite(verb) is not None or self.local(verb) is not None

    def action(self, verb: str) -> type[Action] | None:
        """The class of a verb, registered or local; None for a composite. SpecError where it cannot be imported."""
        if verb in registry.actions():
            try:
                found: type[Action] = registry.actions()[verb]
            except RegistryError as error:
                raise SpecError(Problem(str(error))) from error
            return found
        return None if self.composite(verb) else self.local(verb)

    def local(self, verb: str) -> type[Action] | None:
        """A class in `actions/*.py`; imports them all at the first call."""
        if not self.searched:
            self.searched = True
            for path in (path for folder in self.folders() for path in sorted(folder.glob("*.py"))):
                try:
                    for each in load_actions(path):
                        self.add(each, path)
                except SpecError as error:
                    self.problems.extend(error.problems)
        return self.classes.get(verb)

    def add(self, action: type[Action], path: Path) -> None:
        """Note a local class; the names of native verbs are taken."""
        if action.verb in registry.actions():
            message = f"the verb {action.verb!r} of class {action.__name__} is a native one"
            self.problems.append(Problem(message, Mark(shown(path)), "choose another name"))
        self.classes.setdefault(action.verb, action)

    def composite(self, verb: str) -> Path | None:
        """The file of a composite verb."""
        if not re.fullmatch(IDENTIFIER, verb):
            return None  # no path to somewhere else
        for folder in self.folders():
            for suffix in (".yaml", ".yml"):
                if (path := folder / f"{verb}{suffix}").is_file():
                    return path
        point = registry.group(registry.COMPOSITES).points.get(verb)
        return packaged(point.value) if point else None

    def names(self) -> list[str]:
        """Every verb that could be meant, sorted."""
        self.local("")
        local = {
            path.stem for folder in self.folders() for path in folder.iterdir() if path.suffix in (".yaml", ".yml")
        }
        return sorted({*registry.actions(), *registry.group(registry.COMPOSITES), *self.classes, *local})


def packaged(place: str) -> Path:
    """The file that `package:path/to/action.yaml` names; imports parents of the package at most."""
    package, _, name = place.partition(":")
    found = find_spec(package)
    folders = list(found.submodule_search_locations or ()) if found else []
    if not folders:
        raise SpecError(f"the composite action {place!r} is registered by a package that is not there")
    return Path(folders[0]) / name


def load_actions(path: Path) -> list[type[Action]]:
    """The action classes that a Python file defines; what goes wrong in it is a SpecError with its line."""
    try:
        code = path.read_bytes()
    except OSError as error:
        raise SpecError(Problem(f"cannot be read: {error.strerror}", Mark(shown(path)))) from error
    name = f"synthkit_local_{path.stem}_{blake2b(str(path.resolve()).encode() + code, digest_size=6).hexdigest()}"
    module = sys.modules.get(name) or _load(name, path)
    found = list(_actions(module))
    if not found:
        raise SpecError(
            Problem(
                "defines no action", Mark(shown(path)), "derive a class from synthkit.RowAction and give it a `verb`"
            )
        )
    return found


def _load(name: str, path: Path) -> ModuleType:
    spec = spec_from_file_location(name, path)
    if spec is None or spec.loader is None:
        raise SpecError(Problem("cannot be loaded as Python", Mark(shown(path))))
    module = module_from_spec(spec)
    sys.modules[name] = module  # pydantic resolves annotations through it
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise SpecError(_failure(error, path)) from error
    return module


def _failure(error: BaseException, path: Path) -> Problem:
    """Where in the file it went wrong."""
    if isinstance(error, SyntaxError) and error.filename == str(path):
        mark = Mark(shown(path), error.lineno or 0, error.offset or 0)
        return Problem(f"is not Python: {error.msg}", mark, source=(error.text or "").rstrip("\n") or None)
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    line = frames[-1].lineno or 0 if frames else 0
    text = path.read_text(encoding="utf-8", errors="replace").splitlines()
    source = text[line - 1] if 0 < line <= len(text) else None
    message = " ".join(str(error).split())
    return Problem(f"cannot be imported: {type(error).__name__}: {message}", Mark(shown(path), line, 1), source=source)


def _actions(module: ModuleType) -> Iterator[type[Action]]:
    for each in vars(module).values():
        if isinstance(each, type) and issubclass(each, Action) and each.__module__ == module.__name__:
            verb = getattr(each, "verb", None)
            if isinstance(verb, str):
                yield each
