"""The bad specs: `bad/*.yaml`, each with its diagnostic in the `.txt` beside it.

A first line `# --set vars.k=x --models FILE` holds options; helper files stand in `bad/files/` and `bad/actions/`.
"""

from __future__ import annotations

import shlex
from pathlib import Path

from synthkit.core.errors import SpecError
from synthkit.spec import LoadedSpec, load_spec

FOLDER = Path(__file__).parent / "bad"
FILES = sorted(FOLDER.glob("*.yaml"))


def load(file: Path) -> LoadedSpec:
    """Load a spec of the folder with the options of its first line."""
    first = file.read_text(encoding="utf-8").partition("\n")[0]
    options = shlex.split(first.removeprefix("#")) if first.startswith("# --") else []
    sets: dict[str, str] = {}
    models = None
    for name, value in zip(options[::2], options[1::2], strict=True):
        if name == "--models":
            models = Path(value)
        else:
            key, _, text = value.partition("=")
            sets[key] = text
    return load_spec(Path(file.name), models=models, sets=sets)


def diagnostic(file: Path) -> str:
    """What a user sees; fails where nothing is wrong."""
    try:
        load(file)
    except SpecError as error:
        return str(error)
    raise AssertionError(f"{file.name} has nothing wrong with it")
