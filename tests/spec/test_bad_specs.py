"""Every bad spec has its exact diagnostic, quickly, and tells it without touching the disk."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from synthkit.core.errors import SpecError
from tests.conftest import Golden

from .bad_specs import FILES, FOLDER, diagnostic, load


@pytest.fixture(autouse=True)
def _in_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(FOLDER)


def test_there_are_many() -> None:
    assert len(FILES) >= 30


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_diagnostic(file: Path, golden: Golden) -> None:
    root = str(Path(__file__).parents[2])
    golden(diagnostic(file).replace(root, "<repository>"), file.with_suffix(".txt"))


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_problems_are_complete(file: Path) -> None:
    before = sorted(FOLDER.rglob("*"))
    start = time.process_time()
    with pytest.raises(SpecError) as caught:
        load(file)
    assert time.process_time() - start < 0.3
    assert caught.value.exit_code == 2
    assert sorted(FOLDER.rglob("*")) == before, "loading writes nothing"
    for problem in caught.value.problems:
        assert problem.mark is not None, problem
        assert problem.message and not problem.message.endswith("."), problem
        assert "Value error" not in problem.message and "Input should" not in problem.message, problem
