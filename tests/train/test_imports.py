"""The hand-off needs no trainer's packages, and says what a recipe is without any heavy one."""

from __future__ import annotations

import subprocess
import sys

HEAVY = ("torch", "megatron", "nemo", "transformers", "gigatoken", "awkward", "vllm")


def _loaded(code: str, names: tuple[str, ...]) -> str:
    wrapped = f"import sys\n{code}\nprint([name for name in {names!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", wrapped], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1]


def test_no_module_imports_a_trainer() -> None:
    code = (
        "import pkgutil, importlib, synthkit.train as train\n"
        "for each in pkgutil.walk_packages(train.__path__, 'synthkit.train.'): importlib.import_module(each.name)"
    )
    assert _loaded(code, HEAVY) == "[]"


def test_a_recipe_is_checked_without_data_libraries() -> None:
    code = "import synthkit.train.load, synthkit.train.schema"
    assert _loaded(code, (*HEAVY, "polars", "pyarrow", "lance", "numpy", "tokenizers")) == "[]"
