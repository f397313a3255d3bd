"""Tools that an agent can really use: a configuration, found through the registry, opened once a run.

A toolset only says what a call looks like; a tool answers it. Tools are configured as engines are: a class whose
`kind` is its name under the entry point group `synthkit.tools`, so that a package can add one. An answer must follow
from the arguments, the settings, what `depends` names and `content`: it is journaled under these and used again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from pydantic import BaseModel, ConfigDict

from synthkit.core.action import Scope
from synthkit.core.errors import SynthkitError
from synthkit.core.row import Value

if TYPE_CHECKING:
    from synthkit.core.context import Context
    from synthkit.core.toolset import Tool


@dataclass(frozen=True, slots=True)
class OpenTool:
    """A tool that is ready."""

    use: Callable[[Mapping[str, Value]], Awaitable[str]]
    """The arguments of a call in, the text of the response out; called side by side for many rows."""
    content: Value = None
    """What answers depend on that is only known now, e.g. the digest of a step's rows."""


class ToolError(SynthkitError):
    """The call cannot be answered, and why: the agent is told `Error: ...` and may go on."""


class ToolConfig(BaseModel):
    """An entry of `tools:`; subclasses are registered under the entry point group `synthkit.tools`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: ClassVar[str]
    """The name it is registered under; the toolset's name for the tool, or `tool:` in its settings, selects it."""
    version: ClassVar[int] = 1
    """Raised by hand when the same call gets another answer: answers of an older version are not used again."""
    needs: ClassVar[frozenset[str]] = frozenset()
    """Arguments that the toolset must declare."""
    takes: ClassVar[frozenset[str]] = frozenset()
    """Arguments that it may declare besides; any other one would be ignored and is a problem of the plan."""

    def check(self, scope: Scope, declared: Tool, at: tuple[str | int, ...]) -> None:
        """Report what is wrong at the field path `at`; `declared` is the toolset's entry. Calls super().check."""
        named = set(declared.parameters.get("properties", {}))
        if lacking := sorted(self.needs - named):
            said = f"{self.kind!r} needs the argument {lacking[0]!r}, which the toolset does not declare for {at[-1]!r}"
            scope.problem(said, at, help=f"it has: {', '.join(sorted(named)) or 'none'}")
        elif unknown := sorted(named - self.needs - self.takes):
            said = f"{self.kind!r} knows no argument {unknown[0]!r}, which the toolset declares for {at[-1]!r}"
            scope.problem(said, at, help=f"it knows: {', '.join(sorted(self.needs | self.takes))}")

    def depends(self) -> Value:
        """What answers depend on beside settings and version, e.g. the digest of a file; part of the fingerprint."""
        return None

    async def open(self, ctx: Context) -> OpenTool:
        """Make it ready: build or find an index in `ctx.store.artifact(name)`, read another step by `ctx.scan`.

        Called once a run, with the context of whichever row comes first. A SpecError stops the run.
        """
        raise NotImplementedError(self.kind)
