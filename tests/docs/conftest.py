"""A copy of what a reader of the pages has: specs, prompts, examples, and a finished run of the shipped recipe."""

from __future__ import annotations

import shutil
from contextlib import chdir
from pathlib import Path

import pytest

from tests.cli.conftest import call

ROOT = Path(__file__).parents[2]
TEACHER = ROOT / "tests/actions/teacher.py"
MODELS = f"""\
engines: {{teacher: {{scripted: "{TEACHER}:reply"}}}}
models:
  writer: {{engine: teacher}}
  judge: {{engine: teacher, temperature: 0}}
tokenizer: nano
"""
"""Stands in for nano: the pages say what to type, not how good a model is."""


@pytest.fixture(scope="session")
def reader(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("reader") / "synthkit"
    folder.mkdir()
    for name in ("specs", "prompts", "toolsets", "recipes", "examples/second_thought"):
        shutil.copytree(ROOT / name, folder / name)
    (folder / "specs/models.yaml").write_text(MODELS)
    with chdir(folder):
        done = call("run", "specs/fas_planning.yaml", "--quiet")
    assert done.code == 0, done.text
    return folder


@pytest.fixture
def clone(reader: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The reader's folder, to change at will; the working directory."""
    folder = tmp_path / "synthkit"
    shutil.copytree(reader, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    return folder
