"""Render `prompts/en/*.j2` as synthkit does: role spans, strict undefined, messages stripped.

Kept small and separate, so that training nano needs Jinja and PyTorch only.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, FileSystemLoader, StrictUndefined, nodes
from jinja2.ext import Extension

ROOT = Path(__file__).resolve().parents[2]


class RoleTag(Extension):
    """`{% role "user" %}...{% endrole %}`: the text between becomes one message."""

    tags = {"role"}  # noqa: RUF012 - jinja2 declares it so

    def parse(self, parser: Any) -> nodes.Node:
        """Turn the block into a call that wraps its text."""
        line = next(parser.stream).lineno
        role = parser.parse_expression()
        body = parser.parse_statements(("name:endrole",), drop_needle=True)
        return nodes.CallBlock(self.call_method("_wrap", [role]), [], [], body).set_lineno(line)

    def _wrap(self, role: str, caller: Any) -> str:
        return f"\x00{role}\x01{caller()}\x02"


def dumps(value: object) -> str:
    """Write JSON as prompts have it."""
    return json.dumps(value, ensure_ascii=False)


def compact(value: object) -> str:
    """Write JSON as a constrained reply has it: vLLM 0.32 reads `disable_any_whitespace` as no blanks at all."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@cache
def environment() -> Environment:
    """Return the Jinja environment over `prompts/`."""
    env = Environment(
        loader=FileSystemLoader(ROOT / "prompts"), undefined=StrictUndefined, extensions=[RoleTag], autoescape=False
    )
    env.filters["tojson"] = dumps
    env.filters["pick"] = lambda items, ids: [item for item in items if item["id"] in ids]
    return env


@cache
def tools(toolset: str) -> list[dict[str, Any]]:
    """Return a toolset as the templates see it."""
    raw = yaml.safe_load((ROOT / "toolsets" / f"{toolset}.yaml").read_text(encoding="utf-8"))
    return [
        {"name": key, "description": tool["about"], "parameters": tool["parameters"]}
        for key, tool in raw["tools"].items()
    ]


def messages(template: str, toolset: str = "deep_research", **row: object) -> list[tuple[str, str]]:
    """Return the (role, text) messages of `template` for one row."""
    text = environment().get_template(template).render(tools=tools(toolset), **row)
    return [
        (part.split("\x01")[0], part.split("\x01")[1].strip())
        for part in text.replace("\x02", "\x00").split("\x00")
        if "\x01" in part
    ]


def chat(template: str, toolset: str = "deep_research", **row: object) -> str:
    """Return the prompt as the chat template of nano writes it, ready for the reply."""
    turns = "".join(f"<|im_start|>{role}\n{text}<|im_end|>\n" for role, text in messages(template, toolset, **row))
    return turns + "<|im_start|>assistant\n"
