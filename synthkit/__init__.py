"""synthkit: declare agentic training data in YAML, synthesise it on vLLM, keep every row in Lance.

The public names are loaded on first use, so that `import synthkit` stays light. `plan` is not among them, for
`synthkit.plan` is the package of that name: `from synthkit import api; api.plan(spec)`.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from synthkit.api import check, open, run  # noqa: A004 - `synthkit.open(path)`

if os.environ.get("VLLM_LOGGING_LEVEL") == "ERROR":
    # vLLM's core warns of triton before it reads this; its process imports the main script, and so this module, first.
    import logging

    logging.getLogger("vllm").setLevel(logging.ERROR)

__version__ = "0.1.0"
__all__ = ["__version__", "check", "open", "run"]


def __getattr__(name: str) -> Any:
    """Load `run`, `check` and `open` from the composition root when they are first asked for."""
    if name in __all__:
        from synthkit import api

        return getattr(api, name)
    raise AttributeError(f"module 'synthkit' has no attribute {name!r}")
