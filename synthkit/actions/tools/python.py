"""`python`: run a program behind a fence and give what it prints.

Without Landlock and seccomp nothing is run: the run stops and says so, unless the spec says `unfenced: true`. As many
programs run at once as there are processors, so that the time limit measures the program and not the queue.
"""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import Field

from synthkit.core.action import Scope
from synthkit.core.errors import SpecError
from synthkit.core.row import Value
from synthkit.core.sizes import Bytes
from synthkit.core.tool import OpenTool, ToolConfig, ToolError

if TYPE_CHECKING:
    from synthkit.actions.tools.sandbox import Ran
    from synthkit.core.context import Context
    from synthkit.core.toolset import Tool

_PROBE = "print(6 * 7)"


class Python(ToolConfig):
    """Run Python programs, each by itself, without network, files or other processes. `code` is the program."""

    kind: ClassVar[str] = "python"
    needs: ClassVar[frozenset[str]] = frozenset({"code"})

    seconds: Annotated[int, Field(ge=1, le=600)] = 5
    """Processor time of a program; by the clock it has twice as long and two seconds more, for machines are busy."""
    memory: Annotated[Bytes, Field(ge=64 << 20)] = 256 << 20
    """Address space, `256Mi`; numpy takes the more, the more processors there are."""
    output: Annotated[int, Field(ge=100, le=100_000)] = 4000
    """Characters of output that are given; of longer ones the beginning and the end."""
    interpreter: str | None = None
    """Another Python (3.11 or later) with its packages, e.g. `.venv/bin/python`; else synthkit's own, without any."""
    unfenced: bool = False
    """Run programs although the system has no fence for them. Only time, memory and output are limited then: a
    program can read, change and send whatever the user can."""

    def check(self, scope: Scope, declared: Tool, at: tuple[str | int, ...]) -> None:
        """An interpreter that is there."""
        super().check(scope, declared, at)
        if self.interpreter is not None and not os.access(self.interpreter, os.X_OK):
            said = f"there is no program {self.interpreter!r}"
            scope.problem(said, (*at, "interpreter"), help="a path is relative to the working directory")

    async def open(self, ctx: Context) -> OpenTool:
        """Run a first program; SpecError where the fence does not stand."""
        from synthkit.actions.tools.sandbox import Limits, SandboxError, run

        limits = Limits(self.seconds, self.memory, self.output)
        interpreter = Path(self.interpreter).absolute() if self.interpreter else None
        slots = asyncio.Semaphore(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 1)

        async def python(arguments: Mapping[str, Value]) -> str:
            code = arguments["code"]
            if not isinstance(code, str):
                raise ToolError("code must be a text")
            async with slots:
                ran = await run(code, limits, interpreter=interpreter, fenced=not self.unfenced)
            return told(ran, limits)

        try:
            first = await python({"code": _PROBE})
        except SandboxError as error:
            raise SpecError(
                f"the tool `python` runs nothing here, for programs cannot be fenced in: {error}. Take the tool out,"
                " use Linux 5.13 or later on x86_64 or aarch64 with Landlock, or, where all programs can be trusted,"
                " write `unfenced: true`"
            ) from error
        if first != "42":
            raise SpecError(f"the tool `python` cannot run {_PROBE!r} within its limits: {first}")
        return OpenTool(python)


def told(ran: Ran, limits: tuple[int, int, int]) -> str:
    """What the agent sees: the output, and how the program ended where it did not end well."""
    seconds, memory, _ = limits
    notes = []
    if ran.full:
        notes.append("[stopped; a program may write 256 MiB in 10,000 files]")
    elif ran.late:
        notes.append(f"[stopped after {seconds} s]")
    elif ran.status == -signal.SIGSEGV or ran.status == -signal.SIGKILL:
        notes.append(f"[ended by signal {-ran.status}; the program may use {memory >> 20} MiB]")
    elif ran.status < 0:
        notes.append(f"[ended by signal {-ran.status}]")
    elif ran.status and not ran.output.strip():
        notes.append(f"[exit status {ran.status}]")
    return "\n".join(filter(None, [ran.output.strip(), *notes])) or "(no output; print what you want to see)"
