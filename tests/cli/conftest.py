"""A small finished run, made once, and a way to call the command line in this process."""

from __future__ import annotations

import gc
import io
import os
import shutil
import sys
from collections.abc import Callable
from contextlib import chdir, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import pytest

from synthkit.cli import main

SMALL = Path(__file__).parent / "small"


@dataclass(frozen=True)
class Done:
    code: int
    out: str
    err: str

    @property
    def text(self) -> str:
        return self.out + self.err


def call(*arguments: str) -> Done:
    """`synthkit ARGUMENTS...` in the current folder; a traceback is never a valid end."""
    out, err = io.StringIO(), io.StringIO()
    code = 0
    with (
        patch.object(sys, "argv", ["synthkit", *arguments]),
        patch.dict(os.environ, {"COLUMNS": "100"}),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        try:
            main()
        except SystemExit as end:
            code = int(end.code or 0)
        finally:
            gc.enable()  # `main` ends with its process, elsewhere
    done = Done(code, out.getvalue(), err.getvalue())
    assert "Traceback" not in done.text
    return done


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Done]:
    """A folder with the small spec and its finished run in runs/small, and what `run` printed."""
    folder = tmp_path_factory.mktemp("finished") / "project"
    shutil.copytree(SMALL, folder)
    with chdir(folder):
        done = call("run", "small.yaml")
    assert done.code == 0, done.text
    return folder, done


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small spec without a run; the working directory."""
    folder = tmp_path / "project"
    shutil.copytree(SMALL, folder)
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def ran(finished: tuple[Path, Done], project: Path) -> Path:
    """The small spec with its finished run, to change at will; the working directory."""
    shutil.copytree(finished[0] / "runs", project / "runs")
    return project


Edit = Callable[[str, str], None]


@pytest.fixture
def edit(project: Path) -> Edit:
    """`edit(old, new)` in small.yaml."""

    def change(old: str, new: str) -> None:
        text = (project / "small.yaml").read_text()
        assert old in text
        (project / "small.yaml").write_text(text.replace(old, new))

    return change
