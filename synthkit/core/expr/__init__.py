"""Bare Jinja expressions over columns and `vars`, with a closed list of filters; and the sandbox prompts share.

An expression is compiled once and evaluated per row: about 5 us for `len | length >= 2`, most of it Jinja's context.
It has no loops, no methods and no imports, and every operation that could grow a value is bounded, so the text of a
spec may come from anyone.
"""

from synthkit.core.expr.expression import ExprError, Expression, ExprSyntaxError, compile_expression
from synthkit.core.expr.filters import FILTERS, TESTS, Filter

__all__ = ["FILTERS", "TESTS", "ExprError", "ExprSyntaxError", "Expression", "Filter", "compile_expression"]
