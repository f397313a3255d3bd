"""A plan is quick and imports nothing heavy."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from synthkit.plan import build_graph
from synthkit.spec.load import load_spec

ROOT = Path(__file__).parents[2]
HEAVY = ("polars", "pyarrow", "lance", "numpy", "datasketch", "tokenizers", "aiohttp", "vllm", "torch", "rich")


def test_planning_imports_nothing_heavy() -> None:
    code = (
        "import sys; from pathlib import Path; from synthkit.spec.load import load_spec;"
        "from synthkit.plan import build_graph, render_plan;"
        "render_plan(build_graph(load_spec(Path('specs/fas_planning.yaml'))));"
        f"print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_planning_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    loaded = [load_spec(Path("specs") / name) for name in ("entity_memory.yaml", "fas_planning.yaml")]
    best = 9.0
    for _ in range(3):
        started = time.process_time()
        for each in loaded:
            build_graph(each)
        best = min(best, time.process_time() - started)
    assert best < 0.15
