"""Fixtures for the engines: a small random model, and requests."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from synthkit.core.engine import Message, Request, Role

sys.path.insert(0, str(Path(__file__).parent))


@pytest.fixture(scope="session")
def tiny() -> Path:
    """A random model of 0.4M parameters, kept between sessions."""
    pytest.importorskip("torch")
    from tests.engines.tiny import tiny_model

    return tiny_model()


@pytest.fixture
def ask() -> Any:
    """Makes a request: `ask("text", n=2, role={"max_tokens": 3})`."""

    def make(text: str = "Name a bridge.", **fields: Any) -> Request:
        role = Role(engine="it", **({"max_tokens": 64} | fields.pop("role", {})))
        return Request(messages=(Message("user", text),), role=role, model="writer", **fields)

    return make
