"""One prompt: what it reads, and its rendering over a row."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType, TracebackType
from typing import Any, Literal, cast

from jinja2.environment import Template
from jinja2.exceptions import TemplateError

from synthkit.core.engine import Message
from synthkit.core.errors import Mark, SynthkitError
from synthkit.core.expr.compile import position
from synthkit.core.expr.sandbox import TURNS
from synthkit.core.prompt.escape import ROLE_CLOSE, ROLE_NAMED, ROLE_OPEN, settle, settle_with
from synthkit.core.prompt.reads import Reads, Source

CHAT_ROLES = ("system", "user", "assistant")
"""Roles of chat messages; documents may use any."""
_PIECES = re.compile(f"{ROLE_OPEN}([a-z0-9_]*){ROLE_NAMED}|{ROLE_CLOSE}")
_VERSION = re.compile(r"\{#-?\s*version:\s*(\S+)")


class PromptError(SynthkitError):
    """A prompt that cannot be rendered over this row."""


class Prompt:
    """A template with its includes. Made by `PromptLibrary.get`."""

    def __init__(self, source: Source, reads: Reads, template: Template, shadowed: list[Path]) -> None:
        """Holds what the library found."""
        self.name = source.name
        self.path = source.path
        self.reads: Mapping[str, Mark] = MappingProxyType(reads.variables)
        """Columns read, with the first place of each; without `vars`, `tools` and names set in the template."""
        self.vars_read: Mapping[str, Mark] = MappingProxyType(reads.vars_read)
        """Names of `vars` read (`vars.x`)."""
        self.uses_tools = reads.uses_tools
        """Whether it reads `tools`, so the spec needs a toolset."""
        self.roles: Mapping[str, Mark] = MappingProxyType(reads.roles)
        """Roles of `{% role %}` tags."""
        self.source = "\0".join(f"{name}\n{file.text}" for name, file in reads.files.items())
        """Text of the template and all its includes; for fingerprints."""
        self.files: Mapping[str, Path] = {name: file.path for name, file in reads.files.items()}
        """The template and its includes."""
        self.shadowed = shadowed
        """Files of the same name on later search paths."""
        found = _VERSION.search(source.text)
        self.version = found.group(1) if found else None
        """What `{# version: 1 #}` says."""
        self._texts = {str(file.path): file.text for file in reads.files.values()}
        self._template = template

    def __repr__(self) -> str:
        return f"Prompt({self.name!r})"

    def messages(self, context: Mapping[str, Any]) -> tuple[Message, ...]:
        """The chat messages over a row; a template without roles is one user message. Raises PromptError."""
        text = self._render(context)
        if ROLE_OPEN not in text:
            return (self._message("user", text),)
        messages: list[Message] = []
        for role, body in self._pieces(text):
            if role is not None:
                messages.append(self._message(role, body))
            elif not body.isspace() and body:
                raise PromptError(f"{self.path}: text outside of a role: {settle(body).strip()[:60]!r}")
        return tuple(messages)

    def document(self, context: Mapping[str, Any]) -> tuple[str, list[dict[str, Any]]]:
        """The text over a row and its role spans `{role, start, end}` in characters, outer ones first."""
        marked = self._render(context)
        plain: list[str] = []
        spans: list[dict[str, Any]] = []
        opened: list[dict[str, Any]] = []
        size = at = 0
        for mark in _PIECES.finditer(marked):
            plain.append(marked[at : mark.start()])
            size += mark.start() - at
            at = mark.end()
            if mark[1] is not None:
                opened.append({"role": mark[1], "start": size, "end": size})
                spans.append(opened[-1])
            else:
                opened.pop()["end"] = size
        plain.append(marked[at:])
        text, moved = settle_with("".join(plain))
        first = len(text) - len(text.lstrip())
        text = text.strip()
        for span in spans:
            for end in ("start", "end"):
                span[end] = min(max(moved(span[end]) - first, 0), len(text))
        return text, spans

    def _pieces(self, text: str) -> Iterator[tuple[str | None, str]]:
        """(role, body) in order; role None for what stands between."""
        at, role = 0, None
        for mark in _PIECES.finditer(text):
            if mark[1] is not None and role is not None:
                raise PromptError(f"{self.path}: role '{mark[1]}' inside of role '{role}': chat messages do not nest")
            yield role, text[at : mark.start()]
            at, role = mark.end(), mark[1]
        yield None, text[at:]

    def _message(self, role: str, body: str) -> Message:
        if role not in CHAT_ROLES:
            raise PromptError(f"{self.path}: '{role}' is not a role of chat messages ({', '.join(CHAT_ROLES)})")
        content = settle(body).strip()
        if not content:
            raise PromptError(f"{self.path}: the message of role '{role}' is empty")
        return Message(cast("Literal['system', 'user', 'assistant']", role), content)

    def _render(self, context: Mapping[str, Any]) -> str:
        """The text with data and role marks."""
        template = self._template
        scope = template.new_context({**template.globals, **context, "_budget": [TURNS]}, shared=True)
        try:
            return template.environment.concat(template.root_render_func(scope))
        except (
            TemplateError,
            TypeError,
            ValueError,
            ArithmeticError,
            LookupError,
            AttributeError,
            RecursionError,
        ) as error:
            message = getattr(error, "message", None) or str(error) or error.__class__.__name__
            raise PromptError(f"{self._place(error.__traceback__)}: {message}") from error

    def _place(self, trace: TracebackType | None) -> Mark:
        """The innermost place of a template on a traceback."""
        found = Mark(str(self.path))
        while trace is not None:
            template = trace.tb_frame.f_globals.get("__jinja_template__")
            if isinstance(template, Template) and template.filename in self._texts:
                offset = template.get_corresponding_lineno(trace.tb_lineno) - 1
                found = Mark(template.filename, *position(self._texts[template.filename], offset))
            trace = trace.tb_next
        return found
