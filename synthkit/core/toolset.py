"""Toolsets: the tools a spec's `call` may name, each with a JSON Schema for its arguments.

Calls are checked without a model and without a tool: about 30 us a call, with jsonschema loaded on the first one.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from synthkit.core.errors import Mark, Problem, SpecError
from synthkit.core.ids import Id, digest

FINAL_LIMIT = 2000
"""Most characters of a final answer, and of what is said to the user in one turn."""
_LARGEST_FILE = 1 << 20


class Tool(BaseModel):
    """One tool."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    about: str
    """What it does, in a sentence or two; shown to the model."""
    parameters: dict[str, Any] = Field(default_factory=lambda: {"type": "object", "properties": {}})
    """JSON Schema of the arguments, an object."""


class Toolset(BaseModel):
    """The tools of one agent."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    toolset: str
    """Name."""
    about: str = ""
    """What kind of agent has these tools."""
    tools: dict[str, Tool] = Field(min_length=1)
    """Tools by name."""
    say: bool = False
    """Whether the agent talks with a user: `{"say": "..."}` is then a call like the others, and the user's next words
    are its response."""
    derived: bool = False
    """Whether the schemas were read off calls that an agent made: what no call had is not in them."""

    def __hash__(self) -> int:
        return hash(self.digest)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Toolset) and self.digest == other.digest

    @cached_property
    def digest(self) -> Id:
        """Hash of names, descriptions and schemas; part of the fingerprint of steps that call."""
        return digest(self.model_dump(exclude={"derived"} if self.say else {"derived", "say"}))

    @cached_property
    def _validators(self) -> dict[str, Any]:
        from jsonschema import Draft202012Validator

        return {name: Draft202012Validator(tool.parameters) for name, tool in self.tools.items()}

    @cached_property
    def _call_schema(self) -> dict[str, Any]:
        from synthkit.core.types.external import inlined
        from synthkit.core.types.schema import bounded

        calls = [
            {
                "type": "object",
                "properties": {
                    "name": {"type": "string", "enum": [name]},
                    "arguments": bounded(inlined(tool.parameters, f"tool '{name}'")),
                },
                "required": ["name", "arguments"],
                "additionalProperties": False,
            }
            for name, tool in self.tools.items()
        ]
        words = [
            {
                "type": "object",
                "properties": {name: {"type": "string", "minLength": 1, "maxLength": FINAL_LIMIT}},
                "required": [name],
                "additionalProperties": False,
            }
            for name in (("final", "say") if self.say else ("final",))
        ]
        return {"anyOf": [*calls, *words]}

    def call_schema(self) -> dict[str, Any]:
        """JSON Schema of one call or a final answer (with `say`, also words to the user), fit for constrained decoding.

        Do not change it.
        """
        return self._call_schema

    def prompt_view(self) -> list[dict[str, Any]]:
        """The tools as templates see them under `tools`: name, description, parameters."""
        return [
            {"name": name, "description": tool.about, "parameters": tool.parameters}
            for name, tool in self.tools.items()
        ]

    def problem(self, call: Mapping[str, Any] | None) -> str | None:
        """Why the call (as replied or as stored) is not valid; None where it is. A final answer is valid.

        Words to the user are valid where the toolset says `say: true`.
        """
        if not isinstance(call, Mapping):
            return "there is no call"
        if call.get("final") is not None:
            return None
        if call.get("say") is not None:
            return None if self.say else f"say: the agent of {self.toolset!r} talks with no user"
        name, arguments = call.get("name"), call.get("arguments")
        if not isinstance(name, str) or name not in self.tools:
            near = get_close_matches(str(name), self.tools, 1, 0.5)
            hint = f"did you mean '{near[0]}'? " if near else ""
            return f"name: there is no tool '{name}'; {hint}the tools are {', '.join(self.tools)}"
        if not isinstance(arguments, Mapping):
            return f"arguments of '{name}': not an object"
        problems = sorted(
            self._validators[name].iter_errors(dict(arguments)), key=lambda error: list(map(str, error.path))
        )
        if not problems:
            return None
        at = problems[0].json_path.removeprefix("$").removeprefix(".")
        where = f"argument {at} of '{name}'" if at else f"arguments of '{name}'"
        return f"{where}: {problems[0].message[:200]}"


def load_toolset(path: Path | str) -> Toolset:
    """Read a toolset file; SpecError says what is wrong with it and where."""
    path = Path(path)
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SpecError(f"toolset '{path}' cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(text) > _LARGEST_FILE:
        raise SpecError(Problem("a toolset file has at most 1 MB", Mark(str(path))))
    try:
        data = yaml.load(text, _Loader)
    except yaml.MarkedYAMLError as error:
        at = error.problem_mark
        mark = Mark(str(path), at.line + 1, at.column + 1) if at else Mark(str(path))
        raise SpecError(Problem(f"not YAML: {error.problem or error.context}", mark)) from error
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SpecError(Problem(f"not YAML: {error}", Mark(str(path)))) from error
    try:
        toolset = Toolset.model_validate(data)
    except ValidationError as error:
        raise SpecError(
            Problem(f"{'.'.join(map(str, e['loc'])) or 'toolset'}: {e['msg']}", Mark(str(path)))
            for e in error.errors(include_url=False)
        ) from error
    problems = list(_schema_problems(toolset))
    if problems:
        raise SpecError(Problem(problem, Mark(str(path))) for problem in problems)
    return toolset


def _schema_problems(toolset: Toolset) -> list[str]:
    """What is wrong with the schemas of the arguments."""
    from jsonschema import Draft202012Validator, SchemaError

    from synthkit.core.types.external import inlined

    problems = []
    for name, tool in toolset.tools.items():
        try:
            Draft202012Validator.check_schema(tool.parameters)
        except SchemaError as error:
            problems.append(f"tools.{name}.parameters: not a JSON Schema: {error.message}")
            continue
        try:
            inlined(tool.parameters, f"tools.{name}.parameters")
        except SpecError as error:
            problems += [each.message for each in error.problems]
        if tool.parameters.get("type") != "object":
            problems.append(f"tools.{name}.parameters: must be of type: object")
    return problems


class _Loader(yaml.SafeLoader):
    """YAML 1.2 words (`on`, `yes`, `no` and dates are text), no aliases: a small file cannot grow."""

    def compose_node(self, parent: Any, index: Any) -> Any:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call]
            raise yaml.composer.ComposerError(None, None, "aliases are not used in toolsets", mark)
        return super().compose_node(parent, index)


_Loader.yaml_implicit_resolvers = {
    first: [
        (tag, pattern)
        for tag, pattern in resolvers
        if tag not in ("tag:yaml.org,2002:bool", "tag:yaml.org,2002:timestamp")
    ]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(?:true|false)$"), list("tf"))
