"""Bare Jinja expressions over columns and `vars`, with a closed list of filters; and the sandbox prompts share.

An expression is compiled once and evaluated per row: 3 us for `used | length >= 2`, 5 us with `mentions`, 12 us with
`overlap` of a question. It has no loops, no methods and no imports, and every operation that could grow a value is
bounded, so the text of a spec may come from anyone.
"""

from synthkit.core.expr.expression import ExprError, Expression, ExprSyntaxError, compile_expression
from synthkit.core.expr.filters import FILTERS, TESTS, Filter

__all__ = ["FILTERS", "TESTS", "ExprError", "ExprSyntaxError", "Expression", "Filter", "compile_expression"]
