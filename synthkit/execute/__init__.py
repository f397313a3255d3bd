"""The streaming executor: levels, trees, quotas, reuse, and one asyncio loop."""

from __future__ import annotations

from synthkit.execute.control import Control, Stopped
from synthkit.execute.options import RunOptions
from synthkit.execute.run import Executor

__all__ = ["Control", "Executor", "RunOptions", "Stopped"]
