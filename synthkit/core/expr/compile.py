"""Jinja's lexer and compiler as the sandbox wants them.

The lexer puts a character offset where Jinja keeps a line number, so that every node and every error knows its column.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from jinja2 import nodes
from jinja2.compiler import CodeGenerator, Frame
from jinja2.exceptions import TemplateSyntaxError
from jinja2.lexer import Lexer


def position(source: str, offset: int) -> tuple[int, int]:
    """Line and column, from 1, of a character offset."""
    start = source.rfind("\n", 0, offset) + 1
    return source.count("\n", 0, offset) + 1, offset - start + 1


class PositionLexer(Lexer):
    """Yields (offset + 1) where Jinja's lexer yields the line; nodes and errors then carry the offset."""

    def tokeniter(
        self, source: str, name: str | None, filename: str | None = None, state: str | None = None
    ) -> Iterator[tuple[int, str, str]]:
        """Offset + 1, token and its text; errors carry the offset, too."""
        at = 0
        try:
            for _, token, value in super().tokeniter(source, name, filename, state):
                if value and not value.isspace():  # stripped space is missing from the stream, so search
                    found = source.find(value, at)
                    start = found if found >= 0 else at
                    yield start + 1, token, value
                    at = start + len(value)
                else:
                    yield at + 1, token, value
        except TemplateSyntaxError as error:
            while at < len(source) and source[at].isspace():
                at += 1
            raise TemplateSyntaxError(str(error.message), at + 1, name, filename) from None


class Code(CodeGenerator):
    """Jinja's compiler with bounded `~`, with `finalize` in place of HTML escaping, and not folding data into text."""

    def visit_Concat(self, node: nodes.Concat, frame: Frame) -> None:
        """`a ~ b` by the sandbox, which bounds it."""
        self.write("environment.concatenate((")
        for part in node.nodes:
            self.visit(part, frame)
            self.write(", ")
        self.write("))")

    def _output_child_pre(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write("environment.finalize(")

    def _output_child_post(self, node: nodes.Expr, frame: Frame, finalize: Any) -> None:
        self.write(")")

    def _output_child_to_const(self, node: nodes.Expr, frame: Frame, finalize: Any) -> str:
        if not isinstance(node, nodes.TemplateData):
            raise nodes.Impossible()
        return super()._output_child_to_const(node, frame, finalize)
