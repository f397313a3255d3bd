"""Loading a spec stays light: no data, model or network package is imported for it.

A toolset alone needs jsonschema (35 ms), to see whether the schemas of its tools are schemas.
"""

from __future__ import annotations

import subprocess
import sys

import pytest

from synthkit.core.resources import shipped

HEAVY = (
    "polars pyarrow lance numpy datasketch jsonschema tokenizers aiohttp vllm torch rich click transformers outlines"
)
CODE = """
import sys
from pathlib import Path
from synthkit.spec import load_spec
load_spec(Path(sys.argv[1]))
print(" ".join(name for name in sys.argv[2].split() if name in sys.modules))
"""


@pytest.mark.parametrize(("name", "heavy"), [("entity_memory", []), ("fas_planning", ["jsonschema"])])
def test_nothing_heavy_is_imported(name: str, heavy: list[str]) -> None:
    command = [sys.executable, "-c", CODE, str(shipped("specs") / f"{name}.yaml"), HEAVY]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == heavy
