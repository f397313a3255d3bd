"""Files to begin with: copies of what ships, and skeletons of new actions that run as they are."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

from synthkit.core.errors import SpecError
from synthkit.core.resources import shipped

_FOLDERS = ("specs", "prompts", "toolsets", "recipes")
_DATA = ("documents", "trajectories")

_COMPOSITE = """\
action: {name}
about: What {name} does, in one line.
params:
  model: model
  n: int(1..8) = 1
needs: [text]

steps:
  replies:
    from: input
    generate:
      model: "${{params.model}}"
      prompt: {name}.j2
      n: "${{params.n}}"
      out: {{note: str(20..400)}}

  kept:
    from: replies
    filter: {{new: "note != text"}}

output: {{from: kept, adds: [note]}}
"""

_PROMPT = """\
{#- version: 1 -#}
{% role "user" %}
Write a note on this text. Reply with {"note": "..."}.

Text: {{ text }}
{% endrole %}
"""

_PYPROJECT = """\
[build-system]
requires = ["hatchling>=1.27,<2"]
build-backend = "hatchling.build"

[project]
name = "synthkit-{dashed}"
version = "0.1.0"
requires-python = ">=3.11"
dependencies = ["synthkit"]

[project.entry-points."synthkit.actions"]
{name} = "synthkit_{name}:{title}"

[project.entry-points."synthkit.resources"]
synthkit_{name} = "synthkit_{name}"
"""

_CLASS = '''\
"""What {name} does, and why."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar

from synthkit.core.action import Model, Prompt, RowAction
from synthkit.core.context import Context
from synthkit.core.row import Child, Row


class {title}(RowAction):
    """One line for the reference and for editors."""

    verb: ClassVar[str] = "{name}"
    gives: ClassVar[dict[str, str]] = {{"note": "str(20..400)"}}

    model: Model
    """Role that is asked."""
    prompt: Prompt = "{name}.j2"
    """Template; the columns it mentions are what the action reads."""

    def keeps_id(self) -> bool:
        """One row in, at most one out."""
        return True

    async def rows(self, row: Row, ctx: Context) -> AsyncIterator[Child]:
        """The row with its note."""
        for reply in await ctx.ask(self.model, self.prompt, row, out=self.gives):
            yield row | reply
'''


def lay_out(folder: Path) -> tuple[list[Path], list[Path]]:
    """Copy what ships into `folder`; the files written, and those that were there and stay as they are."""
    written: list[Path] = []
    kept: list[Path] = []
    for kind in (*_FOLDERS, *_DATA):
        root = shipped(kind)  # type: ignore[arg-type]
        target = folder / "data" / kind if kind in _DATA else folder / kind
        for source in sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            path = target / source.relative_to(root)
            if path.exists():
                kept.append(path)
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, path)
            written.append(path)
    return written, kept


def new_composite(name: str, folder: Path) -> list[Path]:
    """`actions/<name>.yaml` and `prompts/<name>.j2`."""
    files = {
        folder / "actions" / f"{_checked(name)}.yaml": _COMPOSITE.format(name=name),
        folder / "prompts" / f"{name}.j2": _PROMPT,
    }
    return _write(files)


def new_package(name: str, folder: Path) -> list[Path]:
    """An installable package with one action class and its prompt."""
    root = folder / f"synthkit_{_checked(name)}"
    package = root / "src" / root.name
    title = "".join(part.title() for part in name.split("_"))
    files = {
        root / "pyproject.toml": _PYPROJECT.format(name=name, dashed=name.replace("_", "-"), title=title),
        package / "__init__.py": _CLASS.format(name=name, title=title),
        package / "prompts" / f"{name}.j2": _PROMPT,
    }
    return _write(files)


def _checked(name: str) -> str:
    if not re.fullmatch(r"[a-z][a-z0-9_]{0,40}", name):
        raise SpecError(f"{name!r} cannot be a verb; use lower-case letters, digits and _, e.g. second_thought")
    return name


def _write(files: dict[Path, str]) -> list[Path]:
    there = [path for path in files if path.exists()]
    if there:
        raise SpecError(f"{there[0]} is there already; choose another name or remove it")
    for path, text in files.items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return list(files)
