"""A folder to write specs in, and a way to load them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest

from synthkit.core.errors import SpecError
from synthkit.spec import LoadedSpec, load_spec

Load = Callable[..., LoadedSpec]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Path]:
    """`write("specs/x.yaml", text)` in an empty working directory; gives the relative path."""
    monkeypatch.chdir(tmp_path)

    def to(name: str, text: str) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(text), encoding="utf-8")
        return Path(name)

    return to


@pytest.fixture
def spec(write: Callable[[str, str], Path]) -> Load:
    """`spec(text, **options)`: the loaded spec."""

    def load(text: str, name: str = "spec.yaml", **options: Any) -> LoadedSpec:
        return load_spec(write(name, text), **options)

    return load


@pytest.fixture
def wrong(spec: Load) -> Callable[..., list[str]]:
    """`wrong(text, **options)`: the messages of its problems, `line: message`."""

    def load(text: str, **options: Any) -> list[str]:
        with pytest.raises(SpecError) as caught:
            spec(text, **options)
        return [f"{each.mark.line if each.mark else 0}: {each.message}" for each in caught.value.problems]

    return load
