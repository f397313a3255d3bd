"""What all tests share: golden files, hypothesis profiles, data that is not shipped."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("dev", max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("ci", max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))

Golden = Callable[[str, Path], None]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-golden", action="store_true", help="write golden files instead of comparing with them")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """`golden(text, path)`: text equals the file at path; `--update-golden` writes it, and git shows the difference."""

    def compare(text: str, path: Path) -> None:
        text = text if text.endswith("\n") else f"{text}\n"
        if request.config.getoption("--update-golden"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            return
        assert path.is_file(), f"{path} is missing; write it with --update-golden"
        assert text == path.read_text(encoding="utf-8"), f"differs from {path}; --update-golden rewrites it"

    return compare


@pytest.fixture(scope="session")
def realdata() -> Path:
    """The folder of public data named by SYNTHKIT_REALDATA; tests that need it carry the marker `realdata`."""
    return Path(os.environ["SYNTHKIT_REALDATA"])


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = {"realdata": _no_realdata(), "vllm": "" if find_spec("vllm") else "vLLM is not installed"}
    for item in items:
        for marker, reason in missing.items():
            if reason and item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


def _no_realdata() -> str:
    """Why tests with public data cannot run; empty where they can."""
    folder = os.environ.get("SYNTHKIT_REALDATA", "")
    if folder:
        return "" if Path(folder).is_dir() else f"SYNTHKIT_REALDATA={folder} is no folder"
    return "SYNTHKIT_REALDATA names no folder of public data"
