"""A toolset from the calls that an agent made, where none was shipped with its runs.

What calls show is types, and which arguments were always there. What they cannot show is left out: choices (`enum`: a
value that was not seen is not forbidden), bounds, and what a tool does. So the file says `derived: true`, and is there
to be tidied by hand.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from synthkit.core.errors import SpecError
from synthkit.core.trajectory.form import Step

if TYPE_CHECKING:
    from synthkit.core.toolset import Toolset

_HEADER = """\
# Derived from calls: types are those seen, required is what every call had. Tidy it by hand: say what each tool does,
# name choices (enum), bound texts and lists.
"""


def derive(name: str, runs: Iterable[Sequence[Step]]) -> Toolset:
    """The toolset of the calls in the steps of some runs, the most called tool first; SpecError where there is none.

    `say` is true where a step speaks to a user.
    """
    from synthkit.core.toolset import Tool, Toolset

    calls: dict[str, list[Mapping[str, Any]]] = {}
    said = False
    count = 0
    for steps in runs:
        count += 1
        for step in steps:
            call = step["call"]
            said = said or call["say"] is not None
            if call["name"] is not None:
                calls.setdefault(call["name"], []).append(call["arguments"])
    if not calls:
        raise SpecError(f"no tool is called in {count} trajectories")
    tools = {
        tool: Tool(about=f"Seen in {_counted(len(calls[tool]), 'call')}.", parameters=schema_of(calls[tool]))
        for tool in sorted(calls, key=lambda tool: (-len(calls[tool]), tool))
    }
    total = sum(map(len, calls.values()))
    about = f"Seen in {_counted(total, 'call')} of {_counted(count, 'trajectory', 'trajectories')}."
    return Toolset(toolset=name, about=about, tools=tools, say=said, derived=True)


def schema_of(values: Sequence[Any]) -> dict[str, Any]:
    """The JSON Schema of some values: their types, and of objects the keys that all have as required."""
    kinds = dict.fromkeys(_kind(value) for value in values)
    if "number" in kinds:
        kinds.pop("integer", None)
    schema: dict[str, Any] = {"type": next(iter(kinds)) if len(kinds) == 1 else sorted(kinds)}
    if "object" in kinds:
        objects = [value for value in values if isinstance(value, Mapping)]
        seen = Counter(key for value in objects for key in value)
        schema["properties"] = {key: schema_of([each[key] for each in objects if key in each]) for key in seen}
        schema["required"] = [key for key, times in seen.items() if times == len(objects)]
    if "array" in kinds:
        items = [item for value in values if isinstance(value, list) for item in value]
        if items:
            schema["items"] = schema_of(items)
    return schema


def toolset_yaml(toolset: Toolset) -> str:
    """The toolset as the text of a file that `load_toolset` reads."""
    import yaml

    content = toolset.model_dump(exclude_defaults=True)
    order = ("toolset", "about", "say", "derived", "tools")
    content = {key: content[key] for key in order if key in content}

    class Dumper(yaml.SafeDumper):
        """No aliases: toolset files have none."""

        def ignore_aliases(self, data: Any) -> bool:
            return True

    return _HEADER + yaml.dump(content, Dumper=Dumper, sort_keys=False, allow_unicode=True, width=120)


def _kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    for kind, types in _KINDS.items():
        if isinstance(value, types):
            return kind
    return "null"


_KINDS: dict[str, type | tuple[type, ...]] = {
    "integer": int, "number": float, "string": str, "array": list, "object": Mapping,
}  # fmt: skip


def _counted(count: int, one: str, many: str | None = None) -> str:
    return f"{count} {one if count == 1 else many or one + 's'}"
