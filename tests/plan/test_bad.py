"""Specs that load but cannot be planned: each with its exact diagnostic beside it."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from synthkit.core.errors import SpecError
from synthkit.plan import build_graph
from synthkit.spec.load import load_spec

BAD = Path(__file__).parent / "bad"
SPECS = sorted(path for path in BAD.glob("*.yaml") if path.stem != "models")


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_diagnostic(path: Path, golden: Callable[[str, Path], None], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(BAD)
    monkeypatch.setattr("synthkit.spec.search.shipped", lambda kind: Path("shipped") / kind)
    loaded = load_spec(Path(path.name))
    started = time.perf_counter()
    with pytest.raises(SpecError) as caught:
        build_graph(loaded)
    assert time.perf_counter() - started < 1
    assert caught.value.exit_code == 2
    assert all(problem.mark and problem.mark.line for problem in caught.value.problems)
    golden(str(caught.value), path.with_suffix(".txt"))


def test_there_are_enough() -> None:
    assert len(SPECS) >= 25
