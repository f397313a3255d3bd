"""The modules of nano, which stand beside each other without a package."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from types import ModuleType

import pytest

from tests.examples.asked import NANO

MODULES = (
    *("names", "prompts", "prose", "worlds", "teacher", "reasoning", "judging"),
    *("shelf", "acting", "choosing", "stepping", "tokenizer"),
)


@pytest.fixture(scope="module")
def nano() -> Iterator[dict[str, ModuleType]]:
    """The modules that make examples."""
    before = {name: sys.modules.pop(name) for name in MODULES if name in sys.modules}
    sys.path.insert(0, str(NANO))
    try:
        yield {name: importlib.import_module(name) for name in MODULES}
    finally:
        sys.path.remove(str(NANO))
        for name in MODULES:
            sys.modules.pop(name, None)
        sys.modules.update(before)
