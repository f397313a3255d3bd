"""A tool that keeps a line for every call it really answers, and how to register it for a test."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import ClassVar

from synthkit.core.context import Context
from synthkit.core.registry import TOOLS, tools
from synthkit.core.row import Value
from synthkit.core.tool import OpenTool, ToolConfig, ToolError

TIMES = 1
"""How often the answer says what it says."""
POINT = EntryPoint("counting", f"{__name__}:Counting", TOOLS)


class Counting(ToolConfig):
    """Answers with the query and its number of characters."""

    kind: ClassVar[str] = "counting"
    needs: ClassVar[frozenset[str]] = frozenset({"query"})

    log: Path
    """Gets one line a call."""

    async def open(self, ctx: Context) -> OpenTool:
        """Nothing to open."""

        async def count(arguments: Mapping[str, Value]) -> str:
            with self.log.open("a") as file:
                file.write(f"{arguments['query']}\n")
            if arguments["query"] == "broken":
                raise ToolError("broken, as asked")
            return f"{arguments['query']}: {len(arguments['query'])}" * TIMES

        return OpenTool(count)


def register() -> None:
    """As an installed package would; for this process."""
    tools().points["counting"] = POINT


def calls(log: Path) -> list[str]:
    """What was really answered."""
    return log.read_text().splitlines() if log.exists() else []
