"""The code behind an action: its file, the files beside it that it imports, and nothing else."""

from __future__ import annotations

import sys
from importlib import import_module
from pathlib import Path

import pytest

from synthkit.core import registry
from synthkit.core.action import RowAction
from synthkit.plan.source import source
from synthkit.spec.verbs import load_actions

LOOK = """
from helper import words
from synthkit.core.action import RowAction

class Look(RowAction):
    verb = "look"
"""


def _digest(folder: Path) -> str:
    return source(load_actions(folder / "look.py")[0]).digest


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "helper", raising=False)
    (tmp_path / "look.py").write_text(LOOK)
    (tmp_path / "helper.py").write_text("words = 1\n")
    (tmp_path / "beside.py").write_text("other = 1\n")
    return tmp_path


def _touched(folder: Path) -> str:
    """The digest after the module was loaded anew."""
    (folder / "look.py").write_text((folder / "look.py").read_text() + "\n# again\n")
    return _digest(folder)


def test_imported_files_count(folder: Path) -> None:
    first = _touched(folder)
    (folder / "look.py").write_text(LOOK)
    (folder / "beside.py").write_text("other = 2\n")
    assert _touched(folder) == first, "a file that is not imported does not count"
    (folder / "look.py").write_text(LOOK)
    source.cache_clear()
    (folder / "helper.py").write_text("words = 2\n")
    assert _touched(folder) != first


def test_own_file_counts(folder: Path) -> None:
    assert _digest(folder) != _touched(folder)


def test_a_package_is_followed_by_its_own_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "plugin_of_a_test"
    (package / "verbs").mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (package / "verbs" / "__init__.py").write_text("")
    (package / "words.py").write_text("words = 1\n")
    (package / "verbs" / "look.py").write_text(LOOK.replace("from helper", "from ..words"))
    monkeypatch.syspath_prepend(tmp_path)
    look = import_module("plugin_of_a_test.verbs.look").Look
    before = source(look).digest
    source.cache_clear()
    (package / "words.py").write_text("words = 2\n")
    assert source(look).digest != before


def test_what_a_step_depends_on_is_seen_in_its_code() -> None:
    assert source(registry.actions()["render"]).counts_tokens
    assert not source(registry.actions()["filter"]).counts_tokens


def test_a_class_without_a_file() -> None:
    made = type("Made", (RowAction,), {"verb": "made", "__module__": "nowhere", "__annotations__": {}})
    assert source(made).digest == source(made).digest
