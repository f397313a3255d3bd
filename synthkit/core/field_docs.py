"""Docstrings under the fields of models, read from the source when a page, a schema or a help line asks for them.

pydantic can do the same while it makes a class (`use_attribute_docstrings`), but that costs every start 80 ms for what
few commands show.
"""

from __future__ import annotations

import ast
import inspect
from collections.abc import Mapping
from functools import cache
from itertools import pairwise
from textwrap import dedent

from pydantic import BaseModel


def about(model: type[BaseModel], field: str) -> str:
    """What a field's docstring (or its `Field(description=...)`) says; empty where it has none."""
    return model.model_fields[field].description or field_docs(model).get(field, "")


@cache
def field_docs(model: type[BaseModel]) -> Mapping[str, str]:
    """Field -> docstring, those of base classes included."""
    found: dict[str, str] = {}
    for each in reversed(model.__mro__):
        if issubclass(each, BaseModel) and each is not BaseModel:
            found.update(_own(each))
    return found


def _own(model: type[BaseModel]) -> dict[str, str]:
    """The docstrings in the body of one class; none where its source is not at hand."""
    try:
        definition = ast.parse(dedent(inspect.getsource(model))).body[0]
    except (OSError, TypeError, SyntaxError):
        return {}
    assert isinstance(definition, ast.ClassDef), "the source of a class is a class"
    found = {}
    for field, after in pairwise(definition.body):
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        text = after.value if isinstance(after, ast.Expr) else None
        if isinstance(text, ast.Constant) and isinstance(text.value, str):
            found[field.target.id] = inspect.cleandoc(text.value)
    return found
