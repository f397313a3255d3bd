import subprocess
import sys

HEAVY = [
    "pyarrow",
    "numpy",
    "polars",
    "lance",
    "datasketch",
    "jsonschema",
    "tokenizers",
    "aiohttp",
    "vllm",
    "torch",
    "outlines",
]


def test_the_language_loads_nothing_heavy():
    code = (
        "import sys; import synthkit.core.types, synthkit.core.expr, synthkit.core.prompt, synthkit.core.toolset, "
        f"synthkit.core.tokens, synthkit.core.resources; print([m for m in {HEAVY!r} if m in sys.modules])"
    )
    assert (
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"
    )
