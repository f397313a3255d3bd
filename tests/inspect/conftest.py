from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from synthkit.store.run import open_run
from tests.inspect.small_run import fill


@pytest.fixture
def make_run(tmp_path: Path) -> Callable[..., Path]:
    """Makes the run, changed by `change(run)` before it is closed; returns its path."""

    def make(name: str = "small", change: Any = None) -> Path:
        async def work() -> None:
            run = open_run(tmp_path / name, write=True)
            await fill(run)
            if change is not None:
                await change(run)
            await run.close()

        asyncio.run(work())
        return tmp_path / name

    return make
