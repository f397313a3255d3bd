"""A place for what tools keep, and a tool that counts."""

from __future__ import annotations

from pathlib import Path

import pytest

from synthkit.core.registry import tools
from tests.actions.tools.counting import POINT


class Shelf:
    """What a tool needs of a run's store."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def artifact(self, name: str) -> Path:
        folder = self.path / "artifacts" / name
        folder.mkdir(parents=True, exist_ok=True)
        return folder


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path)


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The tool `counting` is registered; the file gets a line a call."""
    monkeypatch.setitem(tools().points, "counting", POINT)
    return tmp_path / "counted.log"
