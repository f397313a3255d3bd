"""Where the files that a spec names are looked up.

Beside the spec, then in the folder of that kind (`prompts/`, `toolsets/`, `specs/`) of the spec's nearest ancestor
that has one, then in each `--path`, then in installed packages that name themselves under the entry point group
`synthkit.resources`, then among the shipped ones. The first match wins; later ones are shadowed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

from synthkit.core.registry import group
from synthkit.core.resources import shipped

Kind = Literal["specs", "prompts", "toolsets"]

RESOURCES = "synthkit.resources"
"""Entry point group: any name -> the package whose folder holds `prompts/`, `toolsets/` or `specs/`."""


@dataclass(frozen=True)
class Search:
    """The folders of one spec."""

    beside: Path
    """The folder of the spec (or of a composite action)."""
    extra: tuple[Path, ...] = ()
    """`--path` folders."""

    @cached_property
    def _folders(self) -> dict[Kind, tuple[Path, ...]]:
        return {}

    def folders(self, kind: Kind) -> tuple[Path, ...]:
        """Folders to look in, in order."""
        if kind not in self._folders:
            found = list(dict.fromkeys(self._all(kind)))
            self._folders[kind] = tuple(found)
        return self._folders[kind]

    def find_all(self, kind: Kind, name: str) -> list[Path]:
        """Every file of that name, the one in use first; `toolsets/x.yaml` also means `x.yaml` in a `toolsets/`."""
        if Path(name).is_absolute():
            return [path] if (path := Path(name)).is_file() else []
        names = [name, name.removeprefix(f"{kind}/")] if name.startswith(f"{kind}/") else [name]
        found = [path for folder in self.folders(kind) for each in names if _is_file(path := folder / each)]
        return list(dict.fromkeys(found))

    def find(self, kind: Kind, name: str) -> Path | None:
        """The file that name means."""
        return next(iter(self.find_all(kind, name)), None)

    def existing(self, kind: Kind, suffixes: tuple[str, ...] = (".yaml", ".yml")) -> list[str]:
        """Names that could be meant, for help lines."""
        names = {
            path.relative_to(folder).as_posix()
            for folder in self.folders(kind)
            if folder.name == kind
            for pattern in ("*", "*/*")
            for path in folder.glob(pattern)
            if path.suffix in suffixes
        }
        return sorted(names)

    def own(self, kind: Kind) -> Iterator[Path]:
        """The first of these folders: the user's, before those of packages and the shipped one."""
        here = self.beside.absolute()
        yield self.beside
        near = next((each for each in (here, *here.parents) if (each / kind).is_dir()), None)
        if near:
            yield near / kind
        for folder in self.extra:
            yield folder
            if (folder / kind).is_dir():
                yield folder / kind

    def _all(self, kind: Kind) -> Iterator[Path]:
        yield from self.own(kind)
        yield from (folder / kind for folder in _installed() if (folder / kind).is_dir())
        yield shipped(kind)


@cache
def _installed() -> tuple[Path, ...]:
    """Folders of the packages that bring prompts, toolsets or specs; found without importing them."""
    found: list[Path] = []
    for point in group(RESOURCES).points.values():
        try:
            spec = find_spec(point.value)
        except ImportError:
            spec = None
        if spec is not None:
            found.extend(Path(folder) for folder in spec.submodule_search_locations or ())
    return tuple(sorted(found))


def _is_file(path: Path) -> bool:
    """Whether it is a file; a name no file can have is none."""
    try:
        return path.is_file()
    except (OSError, ValueError):
        return False
