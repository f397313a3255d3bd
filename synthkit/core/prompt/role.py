"""The tag `{% role "user" %}...{% endrole %}`: marks in the text that become messages or spans.

The marks are template text, which Jinja folds into its neighbours, so a role costs nothing at run time.
"""

from __future__ import annotations

import re

from jinja2 import nodes
from jinja2.ext import Extension
from jinja2.parser import Parser

from synthkit.core.prompt.escape import ROLE_CLOSE, ROLE_NAMED, ROLE_OPEN

_NAME = re.compile(r"[a-z][a-z0-9_]{0,40}")


def role_of(node: nodes.TemplateData) -> str | None:
    """The role that this piece of template text opens."""
    if node.data.startswith(ROLE_OPEN) and node.data.endswith(ROLE_NAMED):
        return node.data[1:-1]
    return None


class RoleExtension(Extension):
    """Parses the tag."""

    tags = {"role"}  # noqa: RUF012 - Jinja's own declaration

    def parse(self, parser: Parser) -> list[nodes.Node]:
        """The body between two marks."""
        line = next(parser.stream).lineno
        token = parser.stream.current
        name = parser.parse_expression()
        if not isinstance(name, nodes.Const) or not isinstance(name.value, str) or not _NAME.fullmatch(name.value):
            parser.fail('a role is named by a quoted word of small letters, as in {% role "user" %}', token.lineno)
        body = parser.parse_statements(("name:endrole",), drop_needle=True)
        opening = nodes.TemplateData(f"{ROLE_OPEN}{name.value}{ROLE_NAMED}", lineno=line)
        closing = nodes.TemplateData(ROLE_CLOSE, lineno=line)
        return [nodes.Output([opening], lineno=line), *body, nodes.Output([closing], lineno=line)]
