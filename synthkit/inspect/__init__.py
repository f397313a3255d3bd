"""Looking at a run: its tables as polars frames, the ledger, text tables, exports, differences, cleaning.

Everything here works from the run directory alone, without the spec, and beside a process that writes the run.
"""

from synthkit.inspect.run import Run, open  # noqa: A004 - `synthkit.open(path)`

__all__ = ["Run", "open"]
