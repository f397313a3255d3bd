"""The tools of one rollout: read from YAML, held against the toolset, opened once a run, used under the journal.

An answer is journaled under the tool's kind, version, settings and corpus and the call itself, so that after an edit
of a prompt the calls that come again are not made again, and after an edit of a tool they are.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple

from pydantic import BeforeValidator, SerializeAsAny, WithJsonSchema

from synthkit.core import registry
from synthkit.core.action import Scope
from synthkit.core.ids import Id, digest
from synthkit.core.names import nearest
from synthkit.core.row import Value
from synthkit.core.tool import OpenTool, ToolConfig, ToolError

if TYPE_CHECKING:
    from synthkit.core.context import Context
    from synthkit.core.toolset import Toolset


def _named(value: Any) -> Any:
    """Settings by the toolset's name of the tool, each with the name of its kind under `tool`."""
    if not isinstance(value, Mapping):
        return value
    return {
        name: {"tool": name, **({} if each is None else each)} if each is None or isinstance(each, Mapping) else each
        for name, each in value.items()
    }


def _configured(value: Any) -> ToolConfig:
    """The settings of one tool, as its kind reads them."""
    if isinstance(value, ToolConfig):
        return value
    if not isinstance(value, Mapping):
        raise ValueError(f"the settings of a tool are a mapping, not {value!r}")
    kind = str(value["tool"])
    if kind not in registry.tools():
        hint = nearest(kind, list(registry.tools()), "tools")
        raise ValueError(f"there is no tool {kind!r}; {hint}; `tool: NAME` in the settings chooses one")
    config: type[ToolConfig] = registry.tools()[kind]
    return config.model_validate({key: each for key, each in value.items() if key != "tool"})


_SCHEMA = {"type": "object", "additionalProperties": {"type": ["object", "null"]}, "minProperties": 1}
_Tool = Annotated[SerializeAsAny[ToolConfig], BeforeValidator(_configured)]
Tools = Annotated[dict[str, _Tool], BeforeValidator(_named), WithJsonSchema(_SCHEMA)]
"""Name in the toolset -> configuration; `tool:` in the settings names another kind than that name."""


def check(tools: Mapping[str, ToolConfig], toolset: Toolset, scope: Scope, at: str) -> None:
    """Report tools that the toolset lacks, tools that nothing answers, and what each finds wrong itself."""
    for name, tool in tools.items():
        if name in toolset.tools:
            tool.check(scope, toolset.tools[name], (at, name))
        else:
            hint = nearest(name, list(toolset.tools), f"toolset {toolset.toolset!r} has")
            scope.problem(f"the toolset has no tool {name!r}", (at, name), help=hint)
    for name in toolset.tools:
        if name not in tools:
            scope.problem(
                f"nothing answers the toolset's tool {name!r}, which the model may call",
                (at,),
                help=f"write {name}: {{tool: ...}} (there are: {', '.join(registry.tools())}), or take another toolset",
            )


def depends(tools: Mapping[str, ToolConfig]) -> dict[str, Value]:
    """What answers depend on beside the settings: code, version, and what each tool names."""
    return {name: [type(tool), tool.kind, tool.version, tool.depends()] for name, tool in tools.items()}


class Kit:
    """The open tools of one step of one run."""

    def __init__(self, tools: Mapping[str, ToolConfig]) -> None:
        """`tools` are opened when the first call is made."""
        self._tools = tools
        self._run: Any = None
        self._opening: asyncio.Future[dict[str, _Ready]] | None = None

    async def use(self, ctx: Context, key: str, call: Mapping[str, Value]) -> str:
        """The response to a call, journaled under `key`; an error that the tool names is a response too."""
        name, arguments = str(call["name"]), call["arguments"]
        tool = (await self._open(ctx))[name]

        async def respond() -> str:
            try:
                return await tool.open.use(arguments)
            except ToolError as error:
                return f"Error: {error}"

        return str(await ctx.effect(f"{key}/{digest([tool.mark, arguments])}", respond))

    async def _open(self, ctx: Context) -> dict[str, _Ready]:
        run = (asyncio.get_running_loop(), ctx.store)
        if self._run != run or self._opening is None:
            self._run, self._opening = run, asyncio.ensure_future(self._open_all(ctx))
        return await asyncio.shield(self._opening)

    async def _open_all(self, ctx: Context) -> dict[str, _Ready]:
        found = {}
        for name, tool in self._tools.items():
            opened = await tool.open(ctx)
            settings = [tool.kind, tool.version, tool.model_dump(mode="json"), tool.depends(), opened.content]
            found[name] = _Ready(opened, digest(settings))
        return found


class _Ready(NamedTuple):
    open: OpenTool
    mark: Id
    """What its answers are journaled under."""
