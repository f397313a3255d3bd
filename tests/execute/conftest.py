from pathlib import Path

import pytest

from tests.execute.bench import Bench, documents


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Eight documents and nothing else."""
    monkeypatch.chdir(tmp_path)
    made = Bench(tmp_path)
    made.documents(documents(8))
    return made
